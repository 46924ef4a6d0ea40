import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, readFileSync, statSync } from 'node:fs'
import { basename, dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { cleanEnv } from './child-gateway.ts'
import type { Stage, Step } from './dockerfile.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
/** Who runs the image: `node` in its base image. */
export const OWNER = 1000

/** Whether a path of the build context is left out of it (docs.docker.com, "Build context"); patterns without `**` and `!`. */
function isIgnored(path: string): boolean {
  const patterns = readFileSync(join(ROOT, '.dockerignore'), 'utf8').split('\n').filter(Boolean)
  return patterns.some((pattern) => {
    const expression = pattern.replaceAll(/[.+^${}()|[\]\\]/g, String.raw`\$&`).replaceAll('*', '[^/]*')
    return new RegExp(`^${expression}(/|$)`).test(path)
  })
}

/**
 * Does what a stage says in a folder that stands for `/`. What only a container can do is left out: `apt-get`. `npm ci` and
 * `npm rebuild` are taken as done by copying what is installed here.
 */
export function buildTree(stage: Stage, root: string, stages: ReadonlyMap<string, string>): void {
  const at = (path: string): string => join(root, path)
  let workdir = '/'
  for (const step of stage.steps) {
    if (step.keyword === 'WORKDIR') {
      workdir = resolve(workdir, step.words[0]!)
      mkdirSync(at(workdir), { recursive: true })
    }
    if (step.keyword === 'COPY')
      copy(step, step.from === undefined ? ROOT : stages.get(step.from)!, (to) => at(resolve(workdir, to)))
    if (step.keyword === 'RUN') for (const command of step.text.split('&&')) run(command.trim(), root, at(workdir))
  }
}

function copy({ words, from }: Step, source: string, target: (path: string) => string): void {
  const to = words.at(-1)!
  for (const path of words.slice(0, -1)) {
    const whole = join(source, path)
    // Of a folder the contents are copied; a file goes into a folder that is named with a slash (Dockerfile reference, COPY).
    const goesInto = to.endsWith('/') && !statSync(whole).isDirectory()
    const filter = (each: string) => from !== undefined || !isIgnored(relative(ROOT, each))
    cpSync(whole, goesInto ? join(target(to), basename(path)) : target(to), { recursive: true, filter, verbatimSymlinks: true })
  }
}

function run(command: string, root: string, cwd: string): void {
  if (/^(apt-get |rm -rf \/var\/lib\/apt)/.test(command)) return
  if (command.startsWith('npm ci')) execFileSync('cp', ['-a', join(ROOT, 'node_modules'), cwd])
  if (/^npm (ci|rebuild)/.test(command)) return
  const isRoot = process.getuid?.() === 0
  const here = command
    .replace('-o node -g node', isRoot ? `-o ${OWNER} -g ${OWNER}` : '')
    .replaceAll(/ (\/\S+)/g, (_whole, path: string) => ` ${join(root, path)}`)
  for (const path of here.matchAll(/ (\/\S+)/g)) mkdirSync(dirname(path[1]!), { recursive: true })
  execFileSync('env', ['-u', 'NODE_OPTIONS', 'sh', '-ec', here], {
    cwd,
    env: cleanEnv({ npm_config_offline: 'true' }),
    stdio: 'pipe',
  })
}

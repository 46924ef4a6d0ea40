import { readdir } from 'node:fs/promises'
import { isAbsolute, relative, resolve } from 'node:path'
import type { Command } from 'commander'
import { configFileOf, note, print } from '../context.ts'
import { CliError } from '../errors.ts'
import { fromHere, showProblem } from '../output/problems.ts'

const HELP = `
A build needs no sources: it starts a little faster than they do, and needs less memory. It holds the shipped plugins that the configuration has on, and all
shipped strategies; your own files in plugins/ and strategies/ are still loaded live from beside the configuration.
Run it with node: node dist/hestia.mjs --config hestia_config.yml
It needs, of node_modules: esbuild (loads your files), sqlite3 (the store), and @fastify/swagger-ui (the page /docs).`

/** `hestia build`: a gateway of these plugins alone. */
export function addBuild(program: Command): void {
  program
    .command('build')
    .description('compile Hestia with only the plugins that the configuration has on')
    .option('-o, --out <folder>', "where to; it keeps its place relative to Hestia's own folder", 'dist')
    .option('--all', 'with all shipped plugins, whatever the configuration says')
    .addHelpText('after', HELP)
    .action(async (options: { out: string; all?: boolean }, command: Command) => {
      const { bundle } = await import('../bundle.ts')
      const plugins = options.all ? undefined : await shippedPlugins(configFileOf(command))
      const out = resolve(options.out)
      const { bytes, files, names } = await bundle(out, plugins)
      note(`plugins: ${names.join(', ')}`)
      print(`wrote ${fromHere(out)}/hestia.mjs (${files} files, ${(bytes / 1e6).toFixed(1)} MB)`)
    })
}

/** Names of the shipped plugins that a configuration has on. */
async function shippedPlugins(configFile: string): Promise<ReadonlySet<string>> {
  const [{ check }, { ROOT }] = await Promise.all([import('../../core/check.ts'), import('../../core/root.ts')])
  const { problems, plan } = await check(configFile, process.env)
  if (!plan || problems.length > 0)
    throw new CliError(['There is nothing to build yet:', ...problems.map((problem) => showProblem(problem, false))].join('\n'))
  const shipped = new Set((await readdir(resolve(ROOT, 'plugins'))).map((name) => name.replace(/\.ts$/, '')))
  const isShipped = (file: string | undefined): boolean => {
    const path = relative(ROOT, file ?? '')
    return file !== undefined && !isAbsolute(path) && path.startsWith('plugins')
  }
  return new Set(plan.modules.filter(({ name, inputs }) => shipped.has(name) && inputs.some(isShipped)).map(({ name }) => name))
}

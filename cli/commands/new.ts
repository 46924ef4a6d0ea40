import { existsSync } from 'node:fs'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join, relative, resolve } from 'node:path'
import { Argument, type Command } from 'commander'
import { ROOT } from '../../core/root.ts'
import { configFileOf, note, print } from '../context.ts'
import { CliError, EXIT } from '../errors.ts'
import { fromHere } from '../output/problems.ts'

type Kind = 'plugin' | 'strategy'

const FOLDERS: Readonly<Record<Kind, 'plugins' | 'strategies'>> = { plugin: 'plugins', strategy: 'strategies' }
/** What the loader takes for a name. */
const NAME = /^[A-Za-z][\w-]{0,63}$/

/** `hestia new`: a file that works, to be changed. */
export function addNew(program: Command): void {
  program
    .command('new')
    .description('write a plugin or a strategy beside the configuration, as a beginning that works')
    .addArgument(new Argument('<kind>').choices(['plugin', 'strategy']))
    .argument('<name>', 'letters, digits, _ and -')
    .option('--force', 'write over a file that is there')
    .action(async (kind: Kind, name: string, options: { force?: boolean }, command: Command) => {
      if (!NAME.test(name))
        throw new CliError(`"${name}" cannot be the name of a ${kind}: a letter, then letters, digits, "_" and "-".`, EXIT.usage)
      const base = dirname(resolve(configFileOf(command)))
      const folder = FOLDERS[kind]
      const file = join(base, folder, `${name}.ts`)
      if (!options.force && existsSync(file)) throw new CliError(`${fromHere(file)} is there already; --force writes over it.`)
      const taken = await readdir(join(ROOT, folder)).catch(() => [])
      if (resolve(base) !== ROOT && taken.some((entry) => entry.replace(/\.ts$/, '') === name))
        note(`Hestia comes with a ${kind} "${name}"; yours takes its place.`)
      const template = await readFile(new URL(`../templates/${kind}.ts.txt`, import.meta.url), 'utf8')
      await mkdir(dirname(file), { recursive: true })
      await writeFile(file, template.replaceAll('__NAME__', name))
      note(`wrote ${fromHere(file)}`)
      await addTypes(base)
      print(kind === 'plugin' ? `Switch it on under "plugins":\n  ${name}: {}` : `Name it in a service:\n  strategy: ${name}`)
    })
}

/** Tells editors where the types of `hestia` are, unless somebody has done so. */
async function addTypes(base: string): Promise<void> {
  const types = join(ROOT, 'core', 'index.ts')
  const file = join(base, 'tsconfig.json')
  if (existsSync(file) || existsSync(join(base, 'node_modules', 'hestia')) || !existsSync(types)) return
  const from = (path: string): string => {
    const way = relative(base, path)
    return way.startsWith('.') ? way : `./${way}`
  }
  const config = {
    compilerOptions: {
      target: 'ES2023',
      module: 'nodenext',
      strict: true,
      noEmit: true,
      skipLibCheck: true,
      allowImportingTsExtensions: true,
      typeRoots: [from(join(ROOT, 'node_modules', '@types'))],
      types: ['node'],
      paths: { hestia: [from(types)] },
    },
    include: ['plugins', 'strategies'],
  }
  await writeFile(file, `${JSON.stringify(config, null, 2)}\n`)
  note(`wrote ${fromHere(file)}, for the types of "hestia" in editors`)
}

import { writeFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import type { Command } from 'commander'
import { configFileOf, note } from '../context.ts'
import { fromHere, showProblem } from '../output/problems.ts'

/** Beside the configuration, where its first line looks for it. */
export const SCHEMA_FILE = 'hestia.schema.json'

const HELP = `
Editors with a YAML language server check and complete the configuration with it; its first line names it:
  # yaml-language-server: $schema=./${SCHEMA_FILE}
It covers your own plugins and strategies too: write it again when they change.`

/** `hestia schema`: the JSON Schema of the configuration. */
export function addSchema(program: Command): void {
  program
    .command('schema')
    .description('write the JSON Schema of the configuration, for editors')
    .option('-o, --out <file>', `where to; - is standard output (default: ${SCHEMA_FILE} beside the configuration)`)
    .addHelpText('after', HELP)
    .action(async (options: { out?: string }, command: Command) => {
      const file = configFileOf(command)
      const text = await makeSchema(file)
      if (options.out === '-') {
        process.stdout.write(text)
        return
      }
      const out = resolve(options.out ?? join(dirname(file), SCHEMA_FILE))
      await writeFile(out, text)
      note(`wrote ${fromHere(out)}`)
    })
}

/** The schema of all plugins and strategies that a configuration finds; it need not be valid, or there. */
export async function makeSchema(configFile: string): Promise<string> {
  const [{ check }, { configSchema }, { STANDARD_PLUGINS }] = await Promise.all([
    import('../../core/check.ts'),
    import('../../core/config/index.ts'),
    import('../../schemas/standard-plugins.ts'),
  ])
  const { plugins, strategies, warnings } = await check(configFile, process.env, { shipped: true })
  for (const warning of warnings) note(`left out: ${showProblem(warning, false)}`)
  return `${JSON.stringify(configSchema({ plugins, strategies }, STANDARD_PLUGINS), null, 2)}\n`
}

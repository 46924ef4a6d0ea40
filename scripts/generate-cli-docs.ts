import { readFile, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import type { Command } from 'commander'
import { makeSchema } from '../cli/commands/schema.ts'
import { makeProgram } from '../cli/program.ts'

/**
 * Writes what each command says of itself into `docs/cli.md`, and the schema of the configuration for editors; with `--check` it only
 * says whether they are up to date.
 */
const DOCS = fileURLToPath(new URL('../docs/cli.md', import.meta.url))
const SCHEMA = fileURLToPath(new URL('../hestia.schema.json', import.meta.url))
const CONFIG = fileURLToPath(new URL('../hestia_config.yml', import.meta.url))
const WIDTH = 110

function helpOf(command: Command): string {
  let text = ''
  // Those stand once, with the command itself.
  command.configureHelp({ showGlobalOptions: false })
  command.configureOutput({ writeOut: (part) => (text += part), getOutHelpWidth: () => WIDTH, getOutHasColors: () => false })
  command.outputHelp()
  return text.trim()
}

function sectionsOf(command: Command, name: string): string[] {
  const isShown = command.createHelp().visibleCommands(command)
  const subcommands = command.commands
    .filter((each) => isShown.includes(each))
    .flatMap((each) => sectionsOf(each, `${name} ${each.name()}`))
  return [`### ${name}\n\n\`\`\`text\n${helpOf(command)}\n\`\`\``, ...subcommands]
}

async function commands(): Promise<string> {
  const text = await readFile(DOCS, 'utf8')
  const generated = sectionsOf(makeProgram(), 'hestia').join('\n\n')
  return text.replace(
    /(<!-- generated: commands -->\n)[\s\S]*?(\n<!-- end -->)/,
    (_all, open: string, close: string) => `${open}\n${generated}\n${close}`,
  )
}

const wanted: ReadonlyMap<string, string> = new Map([
  [DOCS, await commands()],
  [SCHEMA, await makeSchema(CONFIG)],
])

for (const [file, text] of wanted) {
  if (!process.argv.includes('--check')) await writeFile(file, text)
  else if ((await readFile(file, 'utf8').catch(() => '')) !== text) {
    process.stderr.write(`${file} is out of date; run: npm run docs\n`)
    process.exitCode = 1
  }
}

import { existsSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import type { Command } from 'commander'
import { messageOf } from '../../core/errors.ts'
import { ProblemError } from '../../core/problem.ts'
import { note } from '../context.ts'
import { CliError, EXIT } from '../errors.ts'
import { fromHere, showProblem } from '../output/problems.ts'
import { styleError } from '../output/style.ts'

const HELP = `
Flat keys become sections, seconds milliseconds. Comments stay; what has no place any more becomes a comment, and is told with its line.
The result is checked as by "hestia check", and what is still wrong with it is told; then it ends with 1, though the file is written.`

interface Options {
  readonly output?: string
  readonly force?: boolean
}

/** `hestia migrate`: a configuration of the Python Hestia as one of this. */
export function addMigrate(program: Command): void {
  program
    .command('migrate')
    .description('turn a configuration of the Python Hestia into one of this')
    .argument('<file>', 'its hestia_config.yml')
    .option('-o, --output <file>', 'where to; standard output if absent')
    .option('--force', 'write over a file that is there')
    .addHelpText('after', HELP)
    .action(async (file: string, { output, force }: Options) => {
      if (output !== undefined && existsSync(output) && !force)
        throw new CliError(`${fromHere(output)} is there already; --force writes over it.`)
      const old = await readFile(file, 'utf8').catch((error: unknown) => {
        throw new CliError(`${file} cannot be read: ${messageOf(error)}`)
      })
      const { check } = await import('../../core/check.ts')
      // Plugins and strategies count from where the result will lie.
      const place = output ?? join(dirname(file), 'hestia_config.yml')
      const { plugins } = await check(place, process.env, { shipped: true, text: 'services: {}' })
      const sections = new Set(plugins.filter(({ service }) => service).map(({ name }) => name))
      const { text, remarks, services } = await translate(file, old, sections)
      if (output === undefined) process.stdout.write(text)
      else await writeFile(output, text)
      for (const remark of remarks) note(`${styleError('yellow', 'note:')} ${showProblem(remark, false)}`)
      const { problems } = await check(place, process.env, { text })
      const target = output === undefined ? 'the result' : fromHere(output)
      for (const problem of problems) {
        const isResult = resolve(problem.file) === resolve(place)
        const shown = isResult && output === undefined ? { ...problem, file: target } : problem
        note(`${styleError('red', 'still to do:')} ${showProblem(shown, false)}`)
      }
      const count = (number: number, thing: string): string => `${number} ${thing}${number === 1 ? '' : 's'}`
      note(`${target}: ${count(services, 'service')}, ${count(remarks.length, 'note')}, ${count(problems.length, 'problem')}`)
      if (problems.length > 0) process.exitCode = EXIT.failure
    })
}

async function translate(file: string, text: string, sections: ReadonlySet<string>) {
  const { migrate } = await import('../migration/migrate.ts')
  try {
    return migrate(file, text, sections)
  } catch (error) {
    if (!(error instanceof ProblemError)) throw error
    throw new CliError(
      ['This is no configuration that can be read:', ...error.problems.map((each) => showProblem(each, false))].join('\n'),
    )
  }
}

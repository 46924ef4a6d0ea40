import type { Command } from 'commander'
import { configFileOf, note, print, printJson } from '../context.ts'
import { EXIT } from '../errors.ts'
import { fromHere, showProblem } from '../output/problems.ts'
import { style } from '../output/style.ts'

const HELP = `
Everything that is wrong is told at once, as file:line:column. Nothing is started, no database opened, no port taken.
Files in plugins/ that are off are checked too; what is wrong with them is a warning.`

/** `hestia check`: whether a gateway would start with these files. */
export function addCheck(program: Command): void {
  program
    .command('check')
    .description('check the configuration, plugins and strategies without running anything')
    .option('--json', 'as JSON')
    .addHelpText('after', HELP)
    .action(async (options: { json?: boolean }, command: Command) => {
      const { check } = await import('../../core/check.ts')
      const file = configFileOf(command)
      const { problems, warnings, plan, on, strategies } = await check(file, process.env)
      const valid = problems.length === 0
      if (!valid) process.exitCode = EXIT.failure
      if (options.json) {
        printJson({ valid, problems, warnings, plugins: on, services: Object.keys(plan?.config.services ?? {}) })
        return
      }
      const withExcerpt = process.stdout.isTTY
      for (const warning of warnings) print(`${style('yellow', 'warning:')} ${showProblem(warning, withExcerpt)}`)
      for (const problem of problems) print(showProblem(problem, withExcerpt))
      if (!plan || !valid) {
        const count = problems.length === 1 ? '1 problem' : `${problems.length} problems`
        note(`${fromHere(file)}: ${count}`)
        return
      }
      const services = Object.keys(plan.config.services).length
      const counts = [
        `${services} service${services === 1 ? '' : 's'}`,
        `${on.length} plugin${on.length === 1 ? '' : 's'}`,
        `${strategies.length} strateg${strategies.length === 1 ? 'y' : 'ies'}`,
      ]
      print(`${style('green', 'ok')} ${fromHere(file)}: ${counts.join(', ')}`)
    })
}

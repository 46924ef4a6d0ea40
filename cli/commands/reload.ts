import type { Command } from 'commander'
import type { Problem } from '../../core/problem.ts'
import { print, printJson, withGateway } from '../context.ts'
import { CliError, GatewayError } from '../errors.ts'
import { showProblem } from '../output/problems.ts'

interface Reloaded {
  readonly generation: number
  readonly changes: readonly string[]
}

/** `hestia reload`: has the gateway read all files again. */
export function addReload(program: Command): void {
  program
    .command('reload')
    .description('read configuration, plugins and strategies again; saved files are noticed without this')
    .option('--json', 'as JSON')
    .action((options: { json?: boolean }, command: Command) =>
      withGateway(command, async (client) => {
        const result = await client.post<Reloaded>('/v1/reload').catch((error: unknown) => {
          if (!(error instanceof GatewayError) || error.status !== 422) throw error
          const problems = (error.body.problems ?? []) as readonly Problem[]
          throw new CliError(
            ['refused; the previous version keeps serving:', ...problems.map((problem) => showProblem(problem, false))].join(
              '\n',
            ),
          )
        })
        const { generation, changes } = result
        if (options.json) printJson(result)
        else print(changes.length === 0 ? 'nothing has changed' : `generation ${generation}: ${changes.join(', ')}`)
      }),
    )
}

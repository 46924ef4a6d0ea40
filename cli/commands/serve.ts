import type { Command } from 'commander'
import { suggest } from '../../core/config/suggest.ts'
import { configFileOf } from '../context.ts'

/** `hestia`, `hestia serve`: runs the gateway in this process. */
export function addServe(program: Command): void {
  program
    .command('serve', { isDefault: true })
    .description('run the gateway (also: hestia without a command)')
    .allowExcessArguments()
    .action(async (_options: unknown, command: Command) => {
      // As the default command it gets whatever is no command.
      const [unknown] = command.args
      if (unknown !== undefined) {
        const names = program.commands.map((each) => each.name())
        program.error(`error: unknown command '${unknown}'${suggest(unknown, names)}`)
      }
      await serve(configFileOf(command))
    })
}

/** Returns once the gateway listens. */
export async function serve(configFile: string): Promise<void> {
  const { run } = await import('../../core/main.ts')
  await run({ configFile })
}

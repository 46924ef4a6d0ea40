import type { Command } from 'commander'
import { configFileOf, withGateway } from '../context.ts'
import { follow } from '../follow.ts'
import { serve } from './serve.ts'

/** `hestia start`: brings a service up, or the gateway. */
export function addStart(program: Command): void {
  program
    .command('start')
    .description('start a service and show how it comes up; without a name run the gateway')
    .argument('[service]')
    .option('--no-wait', 'do not wait until it is up')
    .option('--json', 'print its status as JSON at the end')
    .action(async (id: string | undefined, options: { wait: boolean; json?: boolean }, command: Command) => {
      if (id === undefined) await serve(configFileOf(command))
      else await withGateway(command, (client) => follow(client, id, 'start', options))
    })
}

import type { Command } from 'commander'
import { withGateway } from '../context.ts'
import { follow } from '../follow.ts'

/** `hestia stop`: brings all instances of a service down. */
export function addStop(program: Command): void {
  program
    .command('stop')
    .description('stop a service at once, also in the middle of a request')
    .argument('<service>')
    .option('--no-wait', 'do not wait until it is down')
    .option('--json', 'print its status as JSON at the end')
    .action((id: string, options: { wait: boolean; json?: boolean }, command: Command) =>
      withGateway(command, (client) => follow(client, id, 'stop', options)),
    )
}

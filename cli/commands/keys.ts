import type { Static } from '@sinclair/typebox'
import type { Command } from 'commander'
import type { PluginList } from '../../schemas/api.ts'
import type { KeyEntry, KeyList, MadeKey } from '../../schemas/auth.ts'
import type { Client } from '../client.ts'
import { note, print, printJson, withGateway } from '../context.ts'
import { CliError, GatewayError } from '../errors.ts'
import { plain, style } from '../output/style.ts'
import { type Column, table } from '../output/table.ts'

const minute = (time: string | null): string => (time === null ? '' : time.slice(0, 16).replace('T', ' '))

const COLUMNS: readonly Column<KeyEntry>[] = [
  { title: 'ID', cell: ({ id }) => id },
  { title: 'NAME', cell: ({ name }) => plain(name) },
  { title: 'SCOPES', cell: ({ scopes }) => scopes.join(' ') },
  { title: 'MADE', cell: ({ created_at: at, source }) => (source === 'config' ? 'configuration' : minute(at)) },
  { title: 'LAST USED', cell: ({ last_used_at: at }) => minute(at) },
  { title: '', cell: ({ disabled }) => (disabled ? style('yellow', 'disabled') : '') },
]

const HELP = `
Scopes: admin, read, services:* or services:<id> (also with :use, :wake, :read, :administer), models:<name>.
Only an administrator may do this; the gateway needs the plugins auth and store.`

const AUTH_IS_OFF =
  'Auth is off, so there are no keys: list the plugin with a first one of yours, ' +
  'plugins: { auth: { keys: [{ name: me, key: "${file:admin.key}", scopes: [admin] }] } }.'

/** Does something with the keys of a gateway. */
const withKeys = (command: Command, task: (client: Client) => Promise<void>): Promise<void> =>
  withGateway(command, async (client) => {
    try {
      await task(client)
    } catch (error) {
      if (!(error instanceof GatewayError) || error.status !== 404) throw error
      const { plugins } = await client.get<Static<typeof PluginList>>('/v1/plugins')
      throw new CliError(plugins.some(({ name }) => name === 'auth') ? String(error.body.message) : AUTH_IS_OFF)
    }
  })

const gather = (value: string, before: readonly string[]): string[] => [...before, value]

/** `hestia keys`: keys for programs. */
export function addKeys(program: Command): void {
  const keys = program.command('keys').description('make, list and revoke keys of a gateway with auth').addHelpText('after', HELP)

  keys
    .command('create')
    .description('make a key; it is printed now and never again')
    .requiredOption('--name <name>', 'what it is called in lists and logs')
    .requiredOption('--scope <scope>', 'what it permits; may be given several times', gather, [])
    .option('--json', 'as JSON')
    .action((options: { name: string; scope: string[]; json?: boolean }, command: Command) =>
      withKeys(command, async (client) => {
        const made = await client.post<MadeKey>('/v1/keys', { name: options.name, scopes: options.scope })
        if (options.json) return printJson(made)
        note(`${made.id} (${made.name}): ${made.scopes.join(', ')}`)
        // Alone on standard output, for `KEY=$(hestia keys create ...)`.
        return print(made.key)
      }),
    )

  keys
    .command('list')
    .description('list all keys, without the keys themselves')
    .option('--json', 'as JSON')
    .action((options: { json?: boolean }, command: Command) =>
      withKeys(command, async (client) => {
        const { keys: found } = await client.get<Static<typeof KeyList>>('/v1/keys')
        if (options.json) printJson(found)
        else print(found.length === 0 ? 'There are no keys.' : table(COLUMNS, found))
      }),
    )

  keys
    .command('revoke')
    .description('revoke a key for good; it counts at once')
    .argument('<id>', 'as hestia keys list shows it')
    .action((id: string, _options: unknown, command: Command) =>
      withKeys(command, async (client) => {
        await client.delete(`/v1/keys/${encodeURIComponent(id)}`)
        print(`${id} is revoked`)
      }),
    )
}

import { existsSync, readFileSync } from 'node:fs'
import type { Command } from 'commander'
import { messageOf } from '../core/errors.ts'
import type { Client } from './client.ts'
import { CliError, EXIT } from './errors.ts'

/** Options that every command takes. */
export interface GlobalOptions {
  readonly config?: string
  readonly url?: string
  readonly keyFile?: string
}

/** The configuration that is meant. */
export const configFileOf = (command: Command): string =>
  command.optsWithGlobals<GlobalOptions>().config ?? (process.env.HESTIA_CONFIG || 'hestia_config.yml')

/** An address to connect to, for one to listen on. */
const reachable = (host: string): string =>
  host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '[::1]' : host.includes(':') ? `[${host}]` : host

/** Where the gateway of a command is: as told, else where the configuration says. */
async function addressOf(command: Command): Promise<string> {
  const { url = process.env.HESTIA_URL } = command.optsWithGlobals<GlobalOptions>()
  if (url) {
    if (!/^https?:\/\//.test(url) || !URL.canParse(url))
      throw new CliError(`"${url}" is no address of a gateway; write it as http://127.0.0.1:8080.`, EXIT.usage)
    return url
  }
  const { readServer } = await import('../core/config/index.ts')
  const file = configFileOf(command)
  try {
    const { host, port } = readServer(file, existsSync(file) ? readFileSync(file, 'utf8') : '{}', process.env)
    if (port === 0) throw new Error('server.port is 0, so that only the gateway itself knows where it listens')
    return `http://${reachable(host)}:${port}`
  } catch (error) {
    throw new CliError(`${file} does not tell where the gateway is: ${messageOf(error)}; name it with --url or HESTIA_URL.`)
  }
}

/** Does something with the gateway of a command, and lets go of it. */
export async function withGateway<T>(command: Command, task: (client: Client) => Promise<T>): Promise<T> {
  const { Client, readKey } = await import('./client.ts')
  const { keyFile } = command.optsWithGlobals<GlobalOptions>()
  const client = new Client(await addressOf(command), readKey(keyFile, process.env))
  try {
    return await task(client)
  } finally {
    await client.close()
  }
}

export const printJson = (value: unknown): void => print(JSON.stringify(value, null, 2))

export const print = (text: string): void => {
  process.stdout.write(`${text}\n`)
}

/** For people who look; scripts read standard output. */
export const note = (text: string): void => {
  process.stderr.write(`${text}\n`)
}

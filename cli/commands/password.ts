import { createInterface } from 'node:readline/promises'
import { Writable } from 'node:stream'
import { text as readAll } from 'node:stream/consumers'
import type { Command } from 'commander'
import { hashPassword } from '../../core/password.ts'
import { note, print } from '../context.ts'
import { CliError } from '../errors.ts'

const HELP = `
On a terminal it asks for the password; else it reads standard input: printf %s "$PASSWORD" | hestia password
The hash goes into the configuration: plugins: { auth: { users: [{ name: me, password_hash: "$scrypt$..." }] } }`

/** `hestia password`: what stands for a password in the configuration. */
export function addPassword(program: Command): void {
  program
    .command('password')
    .description('hash a password, for a user who logs in to the dashboard')
    .addHelpText('after', HELP)
    .action(async () => {
      const password = process.stdin.isTTY ? await askTwice() : (await readAll(process.stdin)).replace(/\r?\n$/, '')
      if (password === '') throw new CliError('No password came; see "hestia password --help".')
      const hash = await hashPassword(password)
      if (process.stdout.isTTY) note('plugins.auth.users[].password_hash:')
      print(hash)
    })
}

/** Asks without showing what is typed. */
async function askTwice(): Promise<string> {
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() })
  // From here on the terminal itself shows nothing either.
  const terminal = createInterface({ input: process.stdin, output: nowhere, terminal: true })
  const cancel = new AbortController()
  for (const event of ['SIGINT', 'close']) terminal.on(event, () => cancel.abort())
  const ask = async (question: string): Promise<string> => {
    process.stderr.write(question)
    try {
      return await terminal.question('', { signal: cancel.signal })
    } finally {
      process.stderr.write('\n')
    }
  }
  try {
    const password = await ask('Password: ')
    if (password !== '' && password !== (await ask('The same again: '))) throw new CliError('The two are not the same.')
    return password
  } catch (error) {
    if (cancel.signal.aborted) throw new CliError('There was no password.')
    throw error
  } finally {
    terminal.close()
  }
}

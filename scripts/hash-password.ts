import { hashPassword } from '../plugins/auth/password.ts'

/** Reads a password from standard input and prints its hash for `plugins.auth.users[].password_hash`. */
const chunks: Buffer[] = []
for await (const chunk of process.stdin) chunks.push(chunk as Buffer)
const password = Buffer.concat(chunks)
  .toString('utf8')
  .replace(/\r?\n$/, '')
if (password === '') {
  process.stderr.write('No password came: printf %s "$PASSWORD" | node --import tsx scripts/hash-password.ts\n')
  process.exitCode = 1
} else process.stdout.write(`${await hashPassword(password)}\n`)

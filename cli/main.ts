import { CommanderError } from 'commander'
import { messageOf } from '../core/errors.ts'
import { CliError, EXIT } from './errors.ts'
import { styleError } from './output/style.ts'
import { makeProgram } from './program.ts'

// Who reads the output may have seen enough.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error
  process.exit(EXIT.ok)
})

try {
  await makeProgram().parseAsync(process.argv)
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? EXIT.ok : EXIT.usage
  else {
    process.stderr.write(`${styleError('red', 'hestia:')} ${messageOf(error)}\n`)
    process.exitCode = error instanceof CliError ? error.exitCode : EXIT.failure
  }
}

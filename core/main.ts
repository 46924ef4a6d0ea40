import { closeSync, openSync } from 'node:fs'
import { constants } from 'node:os'
import { inspect } from 'node:util'
import { messageOf } from './errors.ts'
import { Gateway, type GatewayOptions } from './gateway.ts'
import { letHelpersGiveWay } from './helper-threads.ts'
import { withSources } from './stack-traces.ts'

/**
 * Runs a gateway as this process: SIGTERM and SIGINT end it, and a second one does not wait for requests under way; SIGHUP reads
 * everything anew, unless it says that the terminal was closed. A signal that comes while it starts is heeded when it has;
 * a second one that ends it does so at once, with the exit code of a shell (128 and its number). Exits with 1 when it cannot start.
 */
export async function run(options: GatewayOptions): Promise<void> {
  letHelpersGiveWay()
  const starting = Gateway.start(options)
  heedSignals(starting)
  try {
    const gateway = await starting
    // A callback of a plugin that nobody waits for shall not take all services' gateway down with it.
    process.on('uncaughtException', (error) =>
      gateway.log.error({ err: error }, 'an error that nobody caught; probably of a plugin'),
    )
  } catch (error) {
    process.stderr.write(`hestia cannot start:\n${messageOf(error) || withSources(inspect(error))}\n`)
    process.exit(1)
  }
}

function heedSignals(starting: Promise<Gateway>): void {
  const hurry = new AbortController()
  let [hasStarted, isEnding] = [false, false]
  // What can't start says so itself.
  const whenStarted = (act: (gateway: Gateway) => unknown): void => void starting.then(act, () => undefined)
  whenStarted(() => {
    hasStarted = true
  })
  const end = (signal: NodeJS.Signals): void => {
    // Who asks twice doesn't want to wait for the requests under way.
    if (isEnding && !hasStarted) process.exit(128 + constants.signals[signal])
    if (isEnding) hurry.abort()
    if (isEnding) return
    isEnding = true
    if (!hasStarted) process.stderr.write('hestia ends as soon as it has started; once more, and it ends at once\n')
    whenStarted((gateway) =>
      gateway.stop(signal, hurry.signal).then(
        () => process.exit(0),
        (error: unknown) => {
          gateway.log.fatal({ err: error }, 'ending failed')
          process.exit(1)
        },
      ),
    )
  }
  process.on('SIGTERM', end)
  process.on('SIGINT', end)
  const onTerminal = [process.stdin, process.stdout, process.stderr].some(({ isTTY }) => isTTY)
  process.on('SIGHUP', () => {
    if (onTerminal && !hasTerminal()) end('SIGHUP')
    else whenStarted((gateway) => gateway.reload().catch(() => undefined))
  })
}

/** Whether this process has a terminal that controls it; one that was closed is none (tty(4), `/dev/tty`). */
function hasTerminal(): boolean {
  try {
    closeSync(openSync('/dev/tty', 'r'))
    return true
  } catch {
    return false
  }
}

import type { HestiaEvent } from '../core/events.ts'
import { lineOf } from '../core/log/sentences.ts'
import type { ServiceStatus } from '../schemas/api.ts'
import type { Client } from './client.ts'
import { print, printJson } from './context.ts'
import { CliError, EXIT, GatewayError } from './errors.ts'
import { duration } from './output/duration.ts'
import { Spinner } from './output/spinner.ts'
import { plain, style } from './output/style.ts'

/** What is worth a line while something comes up or goes down. */
const TOLD: ReadonlySet<string> = new Set([
  'instance.attempt',
  'instance.step',
  'instance.progress',
  'instance.attempt_failed',
  'instance.kept',
  'exclusive.decided',
  'machine.state',
  'machine.woken',
  'machine.wake_failed',
  'hook.failed',
])

type Outcome = { readonly done: true } | { readonly failed: string } | undefined

/** How a start or stop ended, by a status; `events` know more of a failure. */
function outcomeOf(status: ServiceStatus, action: 'start' | 'stop'): Outcome {
  if (action === 'stop') return status.state === 'cold' ? { done: true } : undefined
  if (status.state === 'hot') return { done: true }
  const failure = status.instances.find(({ lastError }) => lastError !== null)
  return status.state === 'cold' && failure ? { failed: failure.lastError ?? 'it failed' } : undefined
}

const isAbout = (event: HestiaEvent, id: string): boolean => !('service' in event) || event.service === id

/**
 * Has the gateway start or stop a service, and shows on standard error what happens until it is up or down. What is as it should
 * be already is no failure.
 */
export async function follow(
  client: Client,
  id: string,
  action: 'start' | 'stop',
  { wait, json }: { readonly wait: boolean; readonly json?: boolean },
): Promise<void> {
  const path = `/v1/services/${encodeURIComponent(id)}`
  const status = () => client.get<ServiceStatus>(`${path}/status`)
  const beganAt = performance.now()
  // Before the order, so that nothing of what it does is missed.
  const events = wait ? await client.events('instance.,exclusive.,machine.,hook.failed') : undefined
  const already = await order(client, `${path}/${action}`)
  const end = async (sentence: string): Promise<void> => {
    if (json) printJson(await status())
    else print(sentence)
  }
  const goal = action === 'start' ? 'hot' : 'cold'
  if (already === goal) return end(`${id} is ${goal} already`)
  if (!events) return end(action === 'start' ? `starting ${id}` : `stopping ${id}`)
  const spinner = new Spinner()
  spinner.say(action === 'start' ? `${id}: starting` : `${id}: stopping`)
  try {
    await settled(id, action, status, events, (text) => spinner.say(text))
  } finally {
    spinner.stop()
  }
  return end(`${style('green', '✓')} ${id} is ${goal} after ${duration(performance.now() - beganAt)}`)
}

/** Gives the order; the state in which the service is already, if that is why it was not taken. */
async function order(client: Client, path: string): Promise<string | undefined> {
  try {
    await client.post(path)
    return undefined
  } catch (error) {
    if (error instanceof GatewayError && error.status === 409) return String(error.body.state)
    throw error
  }
}

/** @throws {CliError} when it fails, or the gateway ends. */
async function settled(
  id: string,
  action: 'start' | 'stop',
  status: () => Promise<ServiceStatus>,
  events: AsyncIterable<HestiaEvent>,
  say: (text: string) => void,
): Promise<void> {
  const judge = (outcome: Outcome): boolean => {
    if (outcome && 'failed' in outcome) throw new CliError(`${id} could not be started: ${plain(outcome.failed)}`)
    return outcome !== undefined
  }
  if (judge(outcomeOf(await status(), action))) return
  for await (const event of events) {
    if (!isAbout(event, id)) continue
    if (TOLD.has(event.type)) say(plain(lineOf(event).sentence))
    if (event.type === 'instance.start_failed' && action === 'start') judge({ failed: event.error })
    if (event.type === 'instance.state' && judge(outcomeOf(await status(), action))) return
  }
  throw new CliError('The gateway ended meanwhile.', EXIT.unreachable)
}

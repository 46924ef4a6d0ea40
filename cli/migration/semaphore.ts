import type { Context } from './context.ts'
import { keyOf } from './old-file.ts'
import { placeQuantity } from './quantity.ts'
import { numberOf } from './values.ts'

const PREFIX = 'semaphore_'
/** What the old gateway took if the file didn't say. */
const DEFAULT_TEMPLATES = { start_template: 1, stop_template: 2 }
const DEFAULT_TASK_SECONDS = 300

/** `semaphore_...` of a service: a section if it was on, else comments. */
export function placeSemaphore({ draft, pairs, find }: Context, isOn: boolean): void {
  for (const pair of pairs.filter((each) => keyOf(each).startsWith(PREFIX))) {
    const key = keyOf(pair).slice(PREFIX.length)
    if (key === 'enabled') draft.drop(pair)
    else if (!isOn) draft.leave(pair, 'semaphore_enabled is not true')
    else if (key === 'machine_id') draft.put(['semaphore', key], pair.value, pair)
    else if (/^(?:start|stop)_template(?:_id)?$/.test(key)) draft.put(['semaphore', key.replace('_id', '')], pair.value, pair)
    else if (key === 'task_timeout') placeQuantity(pair, { to: ['semaphore', 'task_timeout_ms'], times: 1000, atLeast: 1 }, draft)
    else if (key === 'poll_interval')
      placeQuantity(pair, { to: ['semaphore', 'poll_interval_ms'], times: 1000, atLeast: 10 }, draft)
    else draft.leave(pair, 'Hestia has no such key')
  }
  if (!isOn) return
  for (const [key, number] of Object.entries(DEFAULT_TEMPLATES))
    if (!draft.has(['semaphore', key])) draft.put(['semaphore', key], number)
  // A start was bounded by its task.
  const seconds = numberOf(find('semaphore_task_timeout')?.value) ?? DEFAULT_TASK_SECONDS
  if (!draft.has(['start', 'timeout_ms'])) draft.put(['start', 'timeout_ms'], seconds * 1000)
}

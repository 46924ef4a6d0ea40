import { messageOf, pause, pauseAfter } from 'hestia'
import { type Around, become, type Machine, type MachineRecord, recordOf } from './machine.ts'
import { sendMagicPacket } from './magic-packet.ts'
import { probeOf, probeOnce } from './probe.ts'

/** Who is up answers within this time, in milliseconds; a packet for one that was only slow does no harm. */
const GLANCE_MS = 200

/**
 * Ends when the machine is up: wakes it unless it answers already. Who comes while it is being woken shares that; while it is being
 * put to sleep, waits for the end of that first. Who stops waiting stops nothing: a packet cannot be called back.
 * @throws when it does not answer in time.
 */
export function bringUp(machine: Machine, around: Around): Promise<void> {
  const record = recordOf(around.kept, machine.name)
  record.waking ??= run(machine, record, around).finally(() => {
    record.waking = undefined
  })
  return record.waking
}

async function run(machine: Machine, record: MachineRecord, { kept, events }: Around): Promise<void> {
  const { signal } = kept.over
  try {
    while (record.sleeping) await record.sleeping
    const beganAt = performance.now()
    const probe = probeOf(machine.settings.wake.probe, machine.address)
    // That somebody refuses is a weak sign, and a packet for one who is up costs nothing.
    if (probe.kind === 'tcp' && probe.refusedIsFine) await send(machine).catch(() => undefined)
    const seen = await probeOnce(probe, signal, GLANCE_MS)
    const packets = seen === undefined ? 0 : await wake(machine, record, seen, { probe, beganAt, signal, events })
    record.unavailableUntil = 0
    record.lastError = undefined
    if (packets > 0) {
      const durationMs = performance.now() - beganAt
      record.lastWake = { durationMs, at: Date.now() }
      events.emit('machine.woken', { machine: machine.name, durationMs, packets })
    }
    become(record, 'up', packets > 0 ? 'it was woken' : 'it answers', events)
  } catch (thrown) {
    // Nobody looks after machines any more: whoever still waits goes on as if nobody ever had.
    if (!signal.aborted) throw thrown
  }
}

const send = ({ mac, settings: { wake } }: Machine): Promise<void> => sendMagicPacket(mac, wake.broadcast, wake.port)

interface Course {
  readonly probe: ReturnType<typeof probeOf>
  readonly beganAt: number
  readonly signal: AbortSignal
  readonly events: Around['events']
}

/** Sends packets until the machine answers. @returns how many. @throws when it took too long. */
async function wake(
  machine: Machine,
  record: MachineRecord,
  first: string,
  { probe, beganAt, signal, events }: Course,
): Promise<number> {
  const { name } = machine
  const { broadcast, port, resend_ms, timeout_ms, retry_after_ms } = machine.settings.wake
  let packets = 0
  let notSent: string | undefined
  const sendOnce = () => {
    send(machine).then(
      () => {
        packets++
      },
      (error: unknown) => {
        notSent = messageOf(error)
      },
    )
  }
  become(record, 'waking', `${probe.text}: ${first}; a magic packet goes to ${broadcast}:${port}`, events)
  sendOnce()
  const resending = setInterval(sendOnce, resend_ms)
  const deadline = beganAt + timeout_ms
  try {
    for (let seen = first; ; ) {
      await pause(pauseAfter(performance.now() - beganAt), signal)
      const leftMs = deadline - performance.now()
      const last = leftMs > 0 ? await probeOnce(probe, signal, leftMs) : seen
      if (last === undefined) return Math.max(1, packets)
      seen = last
      if (performance.now() < deadline) continue
      const sent =
        packets === 0 && notSent !== undefined ? `no packet could be sent (${notSent})` : `${packets} packets were sent`
      throw new Error(
        `machine ${name} did not wake within ${timeout_ms} ms (machines.${name}.wake.timeout_ms): ${sent} to ${broadcast}:${port}, ` +
          `${probe.text} says: ${seen}`,
      )
    }
  } catch (thrown) {
    if (!signal.aborted) {
      const error = messageOf(thrown)
      const durationMs = performance.now() - beganAt
      record.unavailableUntil = performance.now() + retry_after_ms
      record.lastError = error
      become(record, 'off', 'it did not wake', events)
      events.emit('machine.wake_failed', { machine: name, error, durationMs, retryAfterMs: retry_after_ms })
    }
    throw thrown
  } finally {
    clearInterval(resending)
  }
}

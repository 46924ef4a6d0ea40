import { setTimeout as sleep } from 'node:timers/promises'

/** Loaded into a process before its program (`--import`), with `--expose-gc` and a channel: tells its memory when it is asked. */
async function tell(): Promise<void> {
  // What finalizers let go of in one collection is freed by the next.
  for (let time = 0; time < 3; time++) {
    globalThis.gc?.()
    await sleep(20)
  }
  process.send?.(process.memoryUsage())
}

process.on('message', (message) => {
  if (message === 'memory') void tell()
})

import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import t from 'tap'
import { Deadline } from '../../core/deadline.ts'
import { until } from '../helpers/until.ts'

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

t.test('a deadline fires, or is aborted by the other signal, though nobody holds it and all garbage is collected', async (t) => {
  const controller = new AbortController()
  const told: string[] = []
  const begin = (timeoutMs: number, outer?: AbortSignal) => {
    const { signal } = new Deadline(timeoutMs, outer)
    signal.addEventListener('abort', () => told.push((signal.reason as Error).message))
  }
  begin(30)
  begin(30, new AbortController().signal)
  begin(60_000, controller.signal)
  await new Promise((resolve) => setImmediate(resolve))
  collect()
  controller.abort(new Error('enough'))
  t.same(told, ['enough'])
  await until(() => told.length === 3, 'the others')
  t.same(told.slice(1), ['it took longer than 30 ms', 'it took longer than 30 ms'])
})

t.test('what is over is not aborted; a lifted one has time, but ends with the other signal', async (t) => {
  const controller = new AbortController()
  const [over, lifted, passed] = [new Deadline(5, controller.signal), new Deadline(5, controller.signal), new Deadline(20)]
  over.end()
  lifted.lift()
  await until(() => passed.passed, 'a later one')
  t.notOk(lifted.signal.aborted)
  controller.abort(new Error('enough'))
  t.match([over.signal.aborted, lifted.signal.aborted, lifted.passed], [false, true, false])
  t.match(new Deadline(60_000, controller.signal).signal, { aborted: true, reason: { message: 'enough' } })
})

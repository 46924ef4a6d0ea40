import t from 'tap'
import { reloadStorm } from '../helpers/reload-storm.ts'

t.setTimeout(300_000)

t.test('R16 promises 3 and 14: 500 reloads under load lose no request, cut no stream, and leave nothing behind', async (t) => {
  const figures = await reloadStorm(500)
  t.comment(JSON.stringify(figures))
  t.equal(figures.failed, 0, `${figures.requests} requests`)
  t.ok(figures.requests > 5_000)
  t.equal(figures.broken, 50)
  t.ok(figures.streamAlive, 'the SSE stream of before the first reload')
  t.ok(figures.socketAlive, 'the WebSocket of before the first reload')
  t.ok(figures.heapPerReload < 4_000, `${figures.heapPerReload} bytes of heap per reload`)
  t.ok(figures.handles[1] <= figures.handles[0] + 3, `handles ${figures.handles}`)
  t.ok(figures.listeners[1] <= figures.listeners[0] + 3, `listeners ${figures.listeners}`)
})

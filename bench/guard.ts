import { join } from 'node:path'
import { Pool } from 'undici'
import { freePort } from '../test/helpers/free-port.ts'
import { type Running, serve } from './contestants/contestant.ts'
import { benchService, startHestia } from './contestants/hestia.ts'
import { makeContext } from './context.ts'
import { endWithUs } from './measure/children.ts'
import { pinSelf } from './measure/cores.ts'
import { usageOf } from './measure/processes.ts'
import { interleave } from './measure/rounds.ts'
import { median, medianRatio } from './measure/statistics.ts'
import { readOptions } from './options.ts'
import { startProgram } from './upstreams/start.ts'

/**
 * Whether the way of a request became dearer: CPU time of the gateway per request, beside that of the simplest proxy that can be
 * written with node:http, for the same requests in the same run: `npm run bench:guard`. CPU time doesn't mind a busy machine as
 * clocks do, and needs nothing that is not installed anyway. It prints and never fails: machines differ, and so do Node's versions.
 */
const [REQUESTS, CONNECTIONS, ROUNDS] = [20_000, 64, 5]

/** Hestia, with all standard plugins and a line in the log for each request, may use so much of what the bare proxy uses; wide. */
const ALARM = 1.5

const context = makeContext(readOptions([]))
endWithUs(() => context.clean())
pinSelf()

async function bareProxy(upstreamPort: number): Promise<Running> {
  const port = await freePort()
  const env = { PORT: String(port), UPSTREAM_PORT: String(upstreamPort) }
  const program = [process.execPath, '--import', 'tsx', join(import.meta.dirname, 'upstreams/bare-proxy.ts')]
  return serve('node:http proxy', `http://127.0.0.1:${port}`, program, { env })
}

/** CPU time per request, in microseconds. */
async function cost({ base, child }: Running): Promise<number> {
  const { origin, pathname } = new URL(`${base}/`)
  const pool = new Pool(origin, { connections: CONNECTIONS })
  const before = usageOf(child!.pid).cpuUs
  let left = REQUESTS
  const client = async () => {
    while (left-- > 0) {
      const { statusCode, body } = await pool.request({ method: 'GET', path: pathname })
      await body.dump()
      if (statusCode !== 200) throw new Error(`${base} answered ${statusCode}`)
    }
  }
  await Promise.all(Array.from({ length: CONNECTIONS }, client))
  await pool.close()
  return (usageOf(child!.pid).cpuUs - before) / REQUESTS
}

const upstream = await startProgram('plain')
const running = [await bareProxy(upstream.port), await startHestia(context, { services: { bench: benchService(upstream.port) } })]
const [bare, own] = [...(await interleave(running, ROUNDS, cost)).values()] as [number[], number[]]
const ratio = medianRatio(own, bare)
const verdict = ratio <= ALARM ? 'as it should be' : `LOOK: it should be at most ${ALARM}; what became dearer?`
process.stdout.write(
  `CPU time per request: hestia ${Math.round(median(own))} µs, a bare node:http proxy ${Math.round(median(bare))} µs\n`,
)
process.stdout.write(`ratio ${ratio.toFixed(2)}, ${verdict}\n`)
await Promise.all([...running.map(({ child }) => child!.end()), upstream.end()])
process.exit()

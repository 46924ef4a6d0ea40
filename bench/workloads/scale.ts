import { endRunning, type Running } from '../contestants/contestant.ts'
import { benchService, startHestia } from '../contestants/hestia.ts'
import type { Context } from '../context.ts'
import { figure, type Section, type Target } from '../report/section.ts'
import { startFast } from '../upstreams/start.ts'
import { COLUMNS, ratio, readings, rows } from './throughput.ts'
import type { Workload } from './workload.ts'

const SERVICES = [10, 100, 1_000]
const PLUGINS = [0, 10, 100]

/** So many services, of which the last one is asked. */
function withServices(count: number, upstreamPort: number, context: Context): Promise<Running> {
  const others = Array.from({ length: count - 1 }, (_, index) => [`service-${index}`, benchService(upstreamPort)] as const)
  const services = Object.fromEntries([...others, ['bench', benchService(upstreamPort)] as const])
  return startHestia(context, { name: `${count} services`, services })
}

/** So many plugins besides the standard ones, each with a route of its own, as most have. */
function withPlugins(count: number, upstreamPort: number, context: Context): Promise<Running> {
  const names = Array.from({ length: count }, (_, index) => `extra-${index}`)
  const text = (name: string) => `import { definePlugin } from 'hestia'
export default definePlugin({ name: '${name}', setup: async (app) => void app.get('/${name}', async () => '${name}') })
`
  return startHestia(context, {
    name: `${count} plugins more`,
    services: { bench: benchService(upstreamPort) },
    plugins: Object.fromEntries(names.map((name) => [`./${name}.ts`, {}])),
    files: Object.fromEntries(names.map((name) => [`${name}.ts`, text(name)])),
  })
}

type Make = (count: number, upstreamPort: number, context: Context) => Promise<Running>

async function compare(counts: readonly number[], make: Make, context: Context) {
  const upstream = await startFast(context)
  const running: Running[] = []
  try {
    for (const count of counts) running.push(await make(count, upstream.port, context))
    const rounds = await readings(running, '/', { connections: 64 }, context)
    return { rounds, ratio: ratio(rounds, running.at(-1)!.name, running[0]!.name) }
  } finally {
    await endRunning(running)
    await upstream.end()
  }
}

const columns = COLUMNS.filter((column) => column !== 'to nginx')
const withoutNginx = (cells: readonly string[]): string[] => cells.filter((_, index) => COLUMNS[index] !== 'to nginx')

/** Whether what is configured costs something on the way of a request. */
export const scale: Workload = {
  id: 'j',
  name: 'scale',
  async run(context) {
    const services = await compare(SERVICES, withServices, context)
    const plugins = await compare(PLUGINS, withPlugins, context)
    const flat: Target = {
      what: `requests/s with ${SERVICES.at(-1)} services, to those with ${SERVICES[0]}`,
      measured: figure(services.ratio),
      wanted: '≥ 0.9',
      reached: services.ratio >= 0.9,
    }
    const section = (title: string, about: string, { rounds }: typeof services, targets: Target[]): Section => ({
      ...{ title, about, columns, targets },
      rows: rows(rounds).map(withoutNginx),
    })
    return [
      section('j. Number of services', 'Small GET, 64 connections, to the last of so many services.', services, [flat]),
      section('j. Number of plugins', 'The same with so many plugins more, each with a route of its own.', plugins, []),
    ]
  },
}

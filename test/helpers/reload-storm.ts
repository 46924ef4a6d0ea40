import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { Pool } from 'undici'
import { WebSocket, WebSocketServer } from 'ws'
import { startChildGateway } from './child-gateway.ts'
import { until } from './until.ts'

/** What a storm of reloads did to a gateway under load. */
export interface StormFigures {
  reloads: number
  broken: number
  requests: number
  failed: number
  /** From the save to its effect, in milliseconds. */
  saveToEffect: Record<'strategy' | 'plugin' | 'yaml' | 'all', { median: number; p99: number }>
  heapPerReload: number
  /** Active handles, listeners on the process, and kept generations, before and after. */
  handles: [before: number, after: number]
  listeners: [before: number, after: number]
  streamAlive: boolean
  socketAlive: boolean
}

interface Vitals {
  heap: number
  handles: number
  listeners: number
}

const percentile = (values: number[], part: number): number => {
  const sorted = values.toSorted((a, b) => a - b)
  return Math.round((sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0) * 10) / 10
}

const summary = (values: number[]) => ({ median: percentile(values, 0.5), p99: percentile(values, 0.99) })

/** An upstream that says which it is, streams, and echoes on a WebSocket. */
async function startUpstream(name: string) {
  const server = createServer((request, response) => {
    if (request.url !== '/stream') return response.end(name)
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    const timer = setInterval(() => response.write(`data: ${Date.now()}\n\n`), 50)
    return response.once('close', () => clearInterval(timer))
  })
  const sockets = new WebSocketServer({ server })
  sockets.on('connection', (socket) => socket.on('message', (message) => socket.send(message)))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const close = () => {
    server.close()
    server.closeAllConnections()
  }
  return { url, close }
}

const strategy = (index: number) => `import { lift } from './lib/lift.ts'
export default { name: 'turn', select: (request, service) => lift(service.instances[${index}]) }`
const plugin = (version: number) => `import { definePlugin, Type } from 'hestia'
export default definePlugin({
  name: 'version',
  options: Type.Object({ word: Type.Integer({ default: 0 }) }, { additionalProperties: false }),
  setup (app, options) {
    const timer = setInterval(() => {}, 1000)
    app.addHook('onClose', async () => clearInterval(timer))
    app.hestia.keep('version@1', () => ({}))
    app.get('/version', async () => ({ version: ${version}, word: options.word }))
    app.get('/vitals', async () => {
      await new Promise((resolve) => setTimeout(resolve, 200))
      for (let i = 0; i < 3; i++) globalThis.gc()
      return {
        heap: process.memoryUsage().heapUsed,
        handles: process.getActiveResourcesInfo().filter((kind) => kind !== 'Immediate').length,
        listeners: process.eventNames().reduce((sum, name) => sum + process.listenerCount(name), 0) + app.hestia.events.size,
      }
    })
  }
})`

/**
 * Saves `count` new versions of a strategy, a plugin and the configuration in turn, one in ten of them broken, while 16
 * connections send requests without pause and one SSE stream and one WebSocket stay open all along.
 */
export async function reloadStorm(count: number, connections = 16, warmUp = Math.min(100, count / 4)): Promise<StormFigures> {
  const teardowns: (() => unknown)[] = []
  try {
    return await storm({ teardown: (fn) => teardowns.unshift(fn) }, count, connections, Math.floor(warmUp))
  } finally {
    for (const fn of teardowns) await fn()
  }
}

async function storm(
  t: { teardown(fn: () => unknown): void },
  count: number,
  connections: number,
  warmUp: number,
): Promise<StormFigures> {
  const [a, b] = [await startUpstream('a'), await startUpstream('b')]
  const dir = await mkdtemp(join(tmpdir(), 'hestia-storm-'))
  t.teardown(() => [a.close(), b.close(), rm(dir, { recursive: true, force: true })])
  const write = async (path: string, text: string, atomic: boolean) => {
    const file = join(dir, path)
    await mkdir(dirname(file), { recursive: true })
    await writeFile(atomic ? `${file}.tmp` : file, text)
    if (atomic) await rename(`${file}.tmp`, file)
  }
  const config = (word: string) => `server: { port: 0 }
log: { level: info, format: json }
plugins: { version: { word: ${word} } }
services:
  two:
    instances: [{ name: a, url: "${a.url}" }, { name: b, url: "${b.url}" }]
    health: { tcp: true }
    strategy: turn
`
  await write('strategies/lib/lift.ts', 'export const lift = <T>(value: T): T => value', true)
  await write('strategies/turn.ts', strategy(0), true)
  await write('plugins/version.ts', plugin(0), true)
  await write('hestia_config.yml', config('0'), true)
  const gateway = await startChildGateway(t, join(dir, 'hestia_config.yml'), { nodeArgs: ['--expose-gc'] })
  const { url } = gateway
  const probe = new Pool(url, { connections: 2 })
  t.teardown(() => probe.destroy())
  const get = async (path: string): Promise<{ status: number; text: string }> => {
    const { statusCode, body } = await probe.request({ method: 'GET', path })
    return { status: statusCode, text: await body.text() }
  }
  const vitals = async () => JSON.parse((await get('/vitals')).text) as Vitals

  let events = 0
  let streamAlive = true
  const stream = await fetch(`${url}/services/two/stream`)
  const reading = (async () => {
    for await (const chunk of stream.body!) events += chunk.length
    streamAlive = false
  })().catch(() => {
    streamAlive = false
  })
  const socket = new WebSocket(`${url.replace('http', 'ws')}/services/two/socket`)
  t.teardown(() => socket.terminate())
  let echoes = 0
  socket.on('message', () => echoes++)
  await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject))

  const load = new Pool(url, { connections })
  t.teardown(() => load.destroy())
  let over = false
  t.teardown(() => {
    over = true
  })
  let requests = 0
  let failed = 0
  const client = async (path: string) => {
    while (!over) {
      const ok = await load.request({ method: 'GET', path }).then(
        async ({ statusCode, body }) => {
          await body.dump()
          return statusCode === 200
        },
        () => false,
      )
      requests++
      if (!ok) failed++
    }
  }
  const clients = Array.from({ length: connections }, (_, index) => client(index % 4 === 0 ? '/version' : '/services/two/'))

  const times = { strategy: [] as number[], plugin: [] as number[], yaml: [] as number[] }
  const kinds = ['strategy', 'plugin', 'yaml'] as const
  let broken = 0
  let before: Vitals | undefined
  const refusedIn = async (path: string, sign: RegExp) =>
    until(async () => sign.test((await get(path)).text), `${path} to show ${sign}`)
  for (let n = 1; n <= count; n++) {
    const kind = kinds[n % 3]!
    const atomic = n % 2 === 0
    if (n === warmUp) before = await vitals()
    if (n % 10 === 0) {
      broken++
      if (kind === 'strategy') {
        await write('strategies/turn.ts', `${strategy(n)} ; const x = = ${n}`, atomic)
        await refusedIn('/v1/strategies', /"failed":\[\{.*turn\.ts/)
      } else if (kind === 'plugin') {
        await write('plugins/version.ts', plugin(n).replace('const timer', `throw new Error('no ${n}'); const timer`), atomic)
        await refusedIn('/v1/plugins', new RegExp(`no ${n}\\b`))
      } else {
        await write('hestia_config.yml', config(`many${n}`), atomic)
        await refusedIn('/__ready', new RegExp(`many${n}`))
      }
      continue
    }
    const save = {
      strategy: ['strategies/turn.ts', strategy(n % 2)],
      plugin: ['plugins/version.ts', plugin(n)],
      yaml: ['hestia_config.yml', config(String(n))],
    }
    const [file, text] = save[kind]
    const isSeen = {
      strategy: async () => (await get('/services/two/')).text === 'ab'[n % 2],
      plugin: async () => (await get('/version')).text.includes(`"version":${n},`),
      yaml: async () => (await get('/version')).text.includes(`"word":${n}}`),
    }[kind]
    if (kind === 'strategy' && (await isSeen())) {
      await write(file!, strategy((n + 1) % 2), atomic)
      await until(async () => !(await isSeen()), 'the turn before')
    }
    await write(file!, text!, atomic)
    const savedAt = performance.now()
    await until(isSeen, `${kind} ${n} to be in force`)
    times[kind].push(performance.now() - savedAt)
    if (n % 20 === 0) socket.send('still there?')
  }
  over = true
  await Promise.all(clients)
  const after = await vitals()
  const [eventsBefore, echoesBefore] = [events, echoes]
  socket.send('and now?')
  await until(() => events > eventsBefore && echoes > echoesBefore, 'stream and socket to go on')
  const figures: StormFigures = {
    reloads: count,
    broken,
    requests,
    failed,
    saveToEffect: {
      strategy: summary(times.strategy),
      plugin: summary(times.plugin),
      yaml: summary(times.yaml),
      all: summary([...times.strategy, ...times.plugin, ...times.yaml]),
    },
    heapPerReload: Math.round((after.heap - before!.heap) / (count - warmUp)),
    handles: [before!.handles, after.handles],
    listeners: [before!.listeners, after.listeners],
    streamAlive,
    socketAlive: socket.readyState === WebSocket.OPEN,
  }
  await gateway.end('SIGKILL')
  await reading
  return figures
}

import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Pool } from 'undici'
import { cleanEnv } from '../test/helpers/child-gateway.ts'
import { freePort } from '../test/helpers/free-port.ts'
import { until } from '../test/helpers/until.ts'

/**
 * What metrics, the access log and traces cost: small GETs over 64 connections through one gateway that is reloaded between
 * rounds, so that nothing else differs: `npm run bench:metrics -- 9`. The medians of the rounds' ratios to the one with all of
 * them off count. Standard output goes to /dev/null.
 */
const ROUNDS = Number(process.argv[2] ?? 9)
const ROUND_MS = 1500
const CONNECTIONS = 64

const upstream = createServer((request, response) => request.resume().once('end', () => response.end('{}'))).listen(
  0,
  '127.0.0.1',
)
await until(() => upstream.listening)
const upstreamUrl = `http://127.0.0.1:${(upstream.address() as AddressInfo).port}`
/** Takes spans too, and throws them away. */
const collectorUrl = `${upstreamUrl}/v1/traces`

const VARIANTS = {
  off: { plugins: {}, sample: 0 },
  metrics: { plugins: { metrics: {} }, sample: 0 },
  'access log': { plugins: {}, sample: 1 },
  both: { plugins: { metrics: {} }, sample: 1 },
  'traces of 0': { plugins: { telemetry: { endpoint: collectorUrl, sample: 0 } }, sample: 0 },
  'traces of 1%': { plugins: { telemetry: { endpoint: collectorUrl, sample: 0.01 } }, sample: 0 },
  'traces of all': { plugins: { telemetry: { endpoint: collectorUrl, sample: 1 } }, sample: 0 },
} as const
type Name = keyof typeof VARIANTS

const dir = await mkdtemp(join(tmpdir(), 'hestia-bench-'))

const port = await freePort()
const file = join(dir, 'hestia_config.yml')
const write = (name: Name) => {
  const { plugins, sample } = VARIANTS[name]
  const config = {
    server: { port },
    log: { format: 'json', access: { sample } },
    plugins: { defaults: false, queue: {}, health: {}, proxy: {}, ...plugins, api: {} },
    services: { s: { base_url: upstreamUrl, health: { tcp: true } } },
  }
  return writeFile(file, JSON.stringify(config))
}
await write('off')
const args = ['--import', 'tsx', 'core/main.ts', '--config', file]
const child = spawn(process.execPath, args, { env: cleanEnv(), stdio: ['ignore', 'ignore', 'inherit'] })
const pool = new Pool(`http://127.0.0.1:${port}`, { connections: CONNECTIONS })
const ask = async (method: 'GET' | 'POST', path: string): Promise<void> => {
  const { body, statusCode } = await pool.request({ method, path })
  await body.dump()
  if (statusCode !== 200) throw new Error(`${path} was answered ${statusCode}`)
}
const get = () => ask('GET', '/services/s/')
await until(
  () =>
    get().then(
      () => true,
      () => false,
    ),
  'the gateway to serve',
)

/** CPU time that a process has used, in ticks of the kernel (10 ms). */
function ticks(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /, '')
    .split(' ')
  return Number(fields[11]) + Number(fields[12])
}

/** Requests per second, and per second of the gateway's CPU time: the latter doesn't mind what else the machine does. */
async function round(): Promise<{ wall: number; cpu: number }> {
  const before = ticks(child.pid!)
  const beganAt = performance.now()
  const end = beganAt + ROUND_MS
  let count = 0
  const worker = async () => {
    while (performance.now() < end) {
      await get()
      count++
    }
  }
  await Promise.all(Array.from({ length: CONNECTIONS }, worker))
  return { wall: (count / (performance.now() - beganAt)) * 1000, cpu: (count / (ticks(child.pid!) - before)) * 100 }
}

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!

const names = Object.keys(VARIANTS) as Name[]
const rates = new Map<Name, { wall: number; cpu: number }[]>(names.map((name) => [name, []]))
for (let i = -1; i < ROUNDS; i++) {
  // Whoever comes first in a round is not always the same.
  for (const name of i % 2 === 0 ? names : names.toReversed()) {
    await write(name)
    await ask('POST', '/v1/reload')
    const rate = await round()
    if (i >= 0) rates.get(name)!.push(rate)
  }
}
for (const name of names) {
  const ratio = (by: 'wall' | 'cpu') => median(rates.get(name)!.map((rate, i) => rate[by] / rates.get('off')![i]![by])).toFixed(3)
  const rate = Math.round(median(rates.get(name)!.map(({ wall }) => wall)))
  process.stdout.write(`${name.padEnd(13)} ${rate} requests/s, ratio ${ratio('wall')}; by CPU time ${ratio('cpu')}\n`)
}
await pool.destroy()
child.kill()
upstream.close()
upstream.closeAllConnections()
await rm(dir, { recursive: true })

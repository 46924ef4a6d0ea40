import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
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
 * What auth costs: small GETs over 64 connections through one gateway that is reloaded between rounds, with a key that is asked
 * for and one that nobody asks for: `node --import tsx bench/auth.ts 9`. The medians of the rounds' ratios to auth off count.
 */
const ROUNDS = Number(process.argv[2] ?? 9)
const ROUND_MS = 1500
const CONNECTIONS = 64
const KEY = 'a-key-of-the-benchmark-0123456789'

const hash = `sha256:${createHash('sha256').update(KEY).digest('hex')}`
const auth = { keys: [{ name: 'bench', hash, scopes: ['admin'] }] }
const VARIANTS = { off: false, auth, 'auth with a limit': { ...auth, rate_limit: { max: 1e9 } } } as const
type Name = keyof typeof VARIANTS

const upstream = createServer((_request, response) => response.end('ok')).listen(0, '127.0.0.1')
await until(() => upstream.listening)
const upstreamUrl = `http://127.0.0.1:${(upstream.address() as AddressInfo).port}`
const dir = await mkdtemp(join(tmpdir(), 'hestia-bench-'))
const port = await freePort()
const file = join(dir, 'hestia_config.yml')
const write = (name: Name) => {
  const config = {
    server: { port },
    log: { format: 'json', access: { sample: 0 } },
    plugins: { defaults: false, queue: {}, health: {}, proxy: {}, api: {}, auth: VARIANTS[name] },
    services: { s: { base_url: upstreamUrl, health: { tcp: true } } },
  }
  return writeFile(file, JSON.stringify(config))
}
await write('off')
const args = ['--import', 'tsx', 'core/main.ts', '--config', file]
const child = spawn(process.execPath, args, { env: cleanEnv(), stdio: ['ignore', 'ignore', 'inherit'] })
const pool = new Pool(`http://127.0.0.1:${port}`, { connections: CONNECTIONS })
const ask = async (method: 'GET' | 'POST', path: string): Promise<void> => {
  const { body, statusCode } = await pool.request({ method, path, headers: { 'x-api-key': KEY } })
  await body.dump()
  if (statusCode !== 200) throw new Error(`${path} was answered ${statusCode}`)
}
const get = () => ask('GET', '/services/s/')
await until(() =>
  get().then(
    () => true,
    () => false,
  ),
)

/** CPU time that the gateway has used, in ticks of the kernel (10 ms). */
function ticks(): number {
  const fields = readFileSync(`/proc/${child.pid}/stat`, 'utf8')
    .replace(/^.*\) /, '')
    .split(' ')
  return Number(fields[11]) + Number(fields[12])
}

/** Requests per second, and per second of the gateway's CPU time: the latter doesn't mind what else the machine does. */
async function round(): Promise<{ wall: number; cpu: number }> {
  const before = ticks()
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
  return { wall: (count / (performance.now() - beganAt)) * 1000, cpu: (count / (ticks() - before)) * 100 }
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
  process.stdout.write(`${name.padEnd(18)} ${rate} requests/s, ratio ${ratio('wall')}; by CPU time ${ratio('cpu')}\n`)
}
await pool.destroy()
child.kill()
upstream.close()
upstream.closeAllConnections()
await rm(dir, { recursive: true })

import { spawn } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Pool } from 'undici'
import { cleanEnv } from '../test/helpers/child-gateway.ts'
import { freePort } from '../test/helpers/free-port.ts'
import { until } from '../test/helpers/until.ts'
import { usageOfProcess } from './measure/processes.ts'
import { median, medianRatio } from './measure/statistics.ts'

const ROUND_MS = 1500
const CONNECTIONS = 64

/** One way to configure the gateway: what is on besides the data path, and the share of requests that leave a line. */
export interface Variant {
  readonly plugins: object
  readonly sample: number
}

interface Rate {
  readonly wall: number
  readonly cpu: number
}

/**
 * Small GETs over 64 connections through one gateway that is reloaded between rounds, so that nothing else differs; prints the
 * medians of the rounds' ratios to the first variant. Standard output of the gateway goes to /dev/null.
 * @param make the variants by name, given the URL of a service that answers everything.
 * @param headers of every request.
 */
export async function compareVariants(
  rounds: number,
  make: (upstreamUrl: string) => Readonly<Record<string, Variant>>,
  headers: Readonly<Record<string, string>> = {},
): Promise<void> {
  const upstream = createServer((request, response) => request.resume().once('end', () => response.end('{}')))
  upstream.listen(0, '127.0.0.1')
  await until(() => upstream.listening)
  const upstreamUrl = `http://127.0.0.1:${(upstream.address() as AddressInfo).port}`
  const variants = make(upstreamUrl)
  const names = Object.keys(variants)
  const [first = ''] = names
  const dir = await mkdtemp(join(tmpdir(), 'hestia-bench-'))
  const port = await freePort()
  const file = join(dir, 'hestia_config.yml')
  const write = (name: string) => {
    const { plugins, sample } = variants[name]!
    const config = {
      server: { port },
      log: { format: 'json', access: { sample } },
      plugins: { defaults: false, queue: {}, health: {}, proxy: {}, ...plugins, api: {} },
      services: { s: { base_url: upstreamUrl, health: { tcp: true } } },
    }
    return writeFile(file, JSON.stringify(config))
  }
  await write(first)
  const args = ['bin/hestia.js', '--config', file]
  const child = spawn(process.execPath, args, { env: cleanEnv(), stdio: ['ignore', 'ignore', 'inherit'] })
  const pool = new Pool(`http://127.0.0.1:${port}`, { connections: CONNECTIONS })
  const ask = async (method: 'GET' | 'POST', path: string): Promise<void> => {
    const { body, statusCode } = await pool.request({ method, path, headers })
    await body.dump()
    if (statusCode !== 200) throw new Error(`${path} was answered ${statusCode}`)
  }
  const get = () => ask('GET', '/services/s/')
  const serves = () =>
    get().then(
      () => true,
      () => false,
    )
  await until(serves, 'the gateway to serve')

  /** Requests per second, and per second of the gateway's CPU time: the latter doesn't mind what else the machine does. */
  const round = async (): Promise<Rate> => {
    const before = usageOfProcess(child.pid!).cpuUs
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
    return {
      wall: (count / (performance.now() - beganAt)) * 1000,
      cpu: (count / (usageOfProcess(child.pid!).cpuUs - before)) * 1e6,
    }
  }

  const rates = new Map<string, Rate[]>(names.map((name) => [name, []]))
  for (let i = -1; i < rounds; i++) {
    // Whoever comes first in a round is not always the same.
    for (const name of i % 2 === 0 ? names : names.toReversed()) {
      await write(name)
      await ask('POST', '/v1/reload')
      const rate = await round()
      if (i >= 0) rates.get(name)!.push(rate)
    }
  }
  const width = Math.max(...names.map(({ length }) => length))
  for (const name of names) {
    const of = (by: keyof Rate, whose = name) => rates.get(whose)!.map((rate) => rate[by])
    const ratio = (by: keyof Rate) => medianRatio(of(by), of(by, first)).toFixed(3)
    const rate = Math.round(median(of('wall')))
    process.stdout.write(`${name.padEnd(width)} ${rate} requests/s, ratio ${ratio('wall')}; by CPU time ${ratio('cpu')}\n`)
  }
  await pool.destroy()
  child.kill()
  upstream.close()
  upstream.closeAllConnections()
  await rm(dir, { recursive: true })
}

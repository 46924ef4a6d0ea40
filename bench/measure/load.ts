import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { start } from './children.ts'
import { programPath } from './cores.ts'

/** Requests of one kind, over and over, each connection sending the next when it has the answer. */
export interface Load {
  readonly url: string
  readonly connections: number
  readonly seconds: number
  readonly headers?: Readonly<Record<string, string>>
  /** File with the body of a POST; without it GET. */
  readonly bodyFile?: string
}

export interface LoadResult {
  readonly requestsPerSecond: number
  readonly requests: number
  readonly p50Ms: number
  readonly p99Ms: number
}

/** With what tells whether it counts. */
interface Told extends LoadResult {
  readonly failed: number
  /** Of all answers, heads included. */
  readonly bytes: number
}

/** No answer of the services is smaller. */
const SMALLEST = 1024

const SCRIPT = join(import.meta.dirname, 'load.lua')
const AUTOCANNON = join(import.meta.dirname, '../peers/node_modules/autocannon/autocannon.js')

const wrk = programPath('wrk')

/** Which load generator is used, or why there is none. */
export function loadGenerator(): string {
  if (wrk) return 'wrk'
  if (existsSync(AUTOCANNON)) return 'autocannon (latencies in whole milliseconds; wrk would be finer)'
  throw new Error('no load generator: install wrk (apt install wrk), or run `npm run bench:install` for autocannon')
}

const headerArgs = (headers: Load['headers']): string[] =>
  Object.entries(headers ?? {}).flatMap(([name, value]) => ['-H', `${name}: ${value}`])

async function withWrk({ url, connections, seconds, headers, bodyFile }: Load): Promise<Told> {
  const args = ['-t1', `-c${connections}`, `-d${seconds}s`, '--timeout', '10s', '-s', SCRIPT, ...headerArgs(headers), url]
  const env = bodyFile === undefined ? {} : { BENCH_METHOD: 'POST', BENCH_BODY: bodyFile }
  const child = start('load', [wrk!, ...args], { env, output: true })
  await child.done()
  const line = /^BENCH (.*)$/m.exec(child.output())?.[1]
  if (!line) throw new Error(`wrk said nothing of use: ${child.output()}`)
  const told = JSON.parse(line) as Record<'requests' | 'durationUs' | 'p50Us' | 'p99Us' | 'bytes' | 'refused' | 'broken', number>
  return {
    requests: told.requests,
    requestsPerSecond: (told.requests / told.durationUs) * 1e6,
    p50Ms: told.p50Us / 1000,
    p99Ms: told.p99Us / 1000,
    failed: told.refused + told.broken,
    bytes: told.bytes,
  }
}

async function withAutocannon({ url, connections, seconds, headers, bodyFile }: Load): Promise<Told> {
  const body = bodyFile === undefined ? [] : ['-m', 'POST', '-i', bodyFile]
  const args = ['--json', '--no-progress', '-c', String(connections), '-d', String(seconds), ...body]
  const child = start('load', [process.execPath, AUTOCANNON, ...args, ...headerArgs(headers), url], { output: true })
  await child.done()
  const told = JSON.parse(child.output()) as {
    requests: { average: number; total: number }
    throughput: { total: number }
    latency: { p50: number; p99: number }
    errors: number
    non2xx: number
  }
  return {
    requests: told.requests.total,
    requestsPerSecond: told.requests.average,
    p50Ms: told.latency.p50,
    p99Ms: told.latency.p99,
    failed: told.errors + told.non2xx,
    bytes: told.throughput.total,
  }
}

/** @throws if more than one request in a thousand failed, or answers are empty: what refuses fast would look fast. */
export async function load(what: Load): Promise<LoadResult> {
  const { failed, bytes, ...result } = await (wrk ? withWrk(what) : withAutocannon(what))
  if (result.requests === 0) throw new Error(`no request to ${what.url} was answered`)
  if (failed > result.requests / 1000) throw new Error(`${failed} of ${result.requests} requests to ${what.url} failed`)
  if (bytes < result.requests * SMALLEST) throw new Error(`answers of ${what.url} lack their body`)
  return result
}

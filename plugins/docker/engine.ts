import type { Readable } from 'node:stream'
import { Deadline } from 'hestia'
import type { Pool } from 'undici'
import { EngineError, explain, refusal } from './errors.ts'
import { poolFor, type Target } from './target.ts'

/** Newest version of the Engine API that this is written for, and the oldest that has what is needed. */
const NEWEST_API = '1.51'
const OLDEST_API = '1.25'
/** Longest answer that is held. */
const LONGEST_ANSWER = 16 * 1024 * 1024

type Method = 'GET' | 'POST' | 'DELETE'
type Query = Readonly<Record<string, string | number | boolean | undefined>>

/** What one request needs beyond method and path. */
export interface Call {
  readonly query?: Query
  readonly body?: unknown
  readonly headers?: Readonly<Record<string, string>>
  readonly signal?: AbortSignal
  /** Instead of the usual bound, in milliseconds; for a stream, until its head. */
  readonly timeoutMs?: number
}

/** A Docker daemon, in a version of its API that both sides speak. Made for one piece of work, over connections that are kept. */
export class Engine {
  readonly host: string
  readonly #pool: Pool
  readonly #isTls: boolean
  readonly #timeoutMs: number
  #version = ''

  private constructor(pool: Pool, { host, tls }: Target, timeoutMs: number) {
    this.#pool = pool
    this.host = host
    this.#isTls = tls !== undefined
    this.#timeoutMs = timeoutMs
  }

  /** @throws {EngineError} when there is no daemon, or none that this can talk to. */
  static async open(pools: Map<string, Pool>, target: Target, timeoutMs: number, signal?: AbortSignal): Promise<Engine> {
    const engine = new Engine(poolFor(pools, target), target, timeoutMs)
    await engine.#negotiate(signal)
    return engine
  }

  /** The answer's JSON; undefined where there is none. @throws {EngineError} with the status, for anything but success. */
  async json<T>(method: Method, path: string, call: Call = {}): Promise<T> {
    const text = await this.text(method, path, call)
    if (text.length === 0) return undefined as T
    try {
      return JSON.parse(text.toString()) as T
    } catch (error) {
      const start = JSON.stringify(text.toString().slice(0, 80))
      throw new EngineError(`what listens at ${this.host} does not speak the Docker Engine API: it answered ${start}`, {
        cause: error,
      })
    }
  }

  /** The answer's bytes, at most {@link LONGEST_ANSWER} of them. */
  async text(method: Method, path: string, call: Call = {}): Promise<Buffer> {
    const timeoutMs = call.timeoutMs ?? this.#timeoutMs
    const deadline = new Deadline(timeoutMs, call.signal)
    try {
      const body = await this.#request(method, path, call, deadline.signal)
      return await collect(body)
    } catch (error) {
      throw this.#explained(error, method, path, call, deadline.passed ? timeoutMs : undefined)
    } finally {
      deadline.end()
    }
  }

  /** The answer as a stream that may last; ended by `call.signal`. Its errors are the reader's, who gets them by `explainStream`. */
  async stream(method: Method, path: string, call: Call = {}): Promise<Readable> {
    const timeoutMs = call.timeoutMs ?? this.#timeoutMs
    const deadline = new Deadline(timeoutMs, call.signal)
    try {
      const body = await this.#request(method, path, call, deadline.signal)
      deadline.lift()
      return body.once('close', () => deadline.end())
    } catch (error) {
      deadline.end()
      throw this.#explained(error, method, path, call, deadline.passed ? timeoutMs : undefined)
    }
  }

  async #negotiate(signal?: AbortSignal): Promise<void> {
    const deadline = new Deadline(this.#timeoutMs, signal)
    let theirs: string
    try {
      const { headers, body, statusCode } = await this.#pool.request({
        method: 'GET',
        path: '/_ping',
        signal: deadline.signal,
      })
      const text = (await collect(body)).toString()
      theirs = String(headers['api-version'] ?? '')
      if (!/^\d+\.\d+$/.test(theirs)) throw new EngineError(refusal(this.host, statusCode, text))
    } catch (error) {
      throw this.#explained(error, 'GET', '/_ping', signal ? { signal } : {}, deadline.passed ? this.#timeoutMs : undefined)
    } finally {
      deadline.end()
    }
    if (isOlder(theirs, OLDEST_API))
      throw new EngineError(
        `the Docker daemon at ${this.host} speaks version ${theirs} of the Engine API, and ${OLDEST_API} or newer is needed: update it`,
      )
    this.#version = isOlder(theirs, NEWEST_API) ? theirs : NEWEST_API
  }

  async #request(method: Method, path: string, { query, body, headers }: Call, signal: AbortSignal): Promise<Readable> {
    const search = new URLSearchParams()
    for (const [key, value] of Object.entries(query ?? {})) if (value !== undefined) search.set(key, String(value))
    const answer = await this.#pool.request({
      method,
      path: `/v${this.#version}${path}${search.size > 0 ? `?${search.toString()}` : ''}`,
      headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal,
    })
    if (answer.statusCode < 400) return answer.body
    throw new EngineError(messageIn(await collect(answer.body)), { status: answer.statusCode })
  }

  #explained(error: unknown, method: string, path: string, { signal }: Call, lateMs: number | undefined): unknown {
    if (signal?.aborted) return signal.reason
    return explain(error, { host: this.host, isTls: this.#isTls, what: `${method} ${path}`, lateMs })
  }
}

async function collect(body: Readable): Promise<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of body as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > LONGEST_ANSWER) throw new EngineError(`the daemon's answer is longer than ${LONGEST_ANSWER} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

function messageIn(body: Buffer): string {
  try {
    const { message } = JSON.parse(body.toString()) as { message?: unknown }
    if (typeof message === 'string') return message
  } catch {
    // Not of the Engine itself, but of something in front of it.
  }
  return body.toString().trim().slice(0, 200) || 'no reason was given'
}

function isOlder(a: string, b: string): boolean {
  const [[aMajor = 0, aMinor = 0], [bMajor = 0, bMinor = 0]] = [a.split('.').map(Number), b.split('.').map(Number)]
  return aMajor < bMajor || (aMajor === bMajor && aMinor < bMinor)
}

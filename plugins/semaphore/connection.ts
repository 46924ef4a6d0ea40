import { Deadline } from 'hestia'
import { Agent, type Dispatcher } from 'undici'
import { SemaphoreError } from './errors.ts'

/** The longest answer that is read whole, in bytes. */
const MAX_BYTES = 16 * 1024 * 1024
/** Of what a task wrote only the end is kept, in bytes; more than `MAX_OUTPUT` is not even read. */
const TAIL_BYTES = 64 * 1024
const MAX_OUTPUT = 256 * 1024 * 1024

/** Nothing was sent: the request can be made again without harm. */
const NOTHING_SENT =
  /^(ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|ECONNABORTED|UND_ERR_CONNECT_TIMEOUT|EPROTO|CERT_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|ERR_TLS_|ERR_SSL_)/

export interface Reply {
  readonly status: number
  readonly type: string
  readonly location: string | undefined
  readonly cookies: readonly string[]
  readonly text: string
}

export interface Call {
  readonly method: 'GET' | 'POST'
  /** Below `/api`. */
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string | undefined
  readonly timeoutMs: number
  /** Only the end of the answer is wanted. */
  readonly tail?: boolean
}

export interface Place {
  readonly baseUrl: string
  readonly ca: string | undefined
  readonly rejectUnauthorized: boolean
  readonly connectTimeoutMs: number
}

/** Calls to Semaphore on the wire: says what was answered, or whether anything can have arrived. */
export class Connection {
  readonly baseUrl: string
  readonly #agent: Agent

  constructor({ baseUrl, ca, rejectUnauthorized, connectTimeoutMs }: Place) {
    this.baseUrl = baseUrl.replace(/\/+$/, '')
    const trust = ca === undefined ? {} : { ca }
    this.#agent = new Agent({ connect: { rejectUnauthorized, timeout: connectTimeoutMs, ...trust } })
  }

  /** @throws {SemaphoreError} `unreachable` or `lost`. */
  async call({ method, path, headers, body, timeoutMs, tail = false }: Call): Promise<Reply> {
    const url = new URL(`${this.baseUrl}/api${path}`)
    const deadline = new Deadline(timeoutMs)
    try {
      const answer = await this.#agent.request({
        origin: url.origin,
        path: url.pathname + url.search,
        method,
        headers,
        body: body ?? null,
        signal: deadline.signal,
      })
      const text = await textOf(answer.body, tail)
      const location = answer.headers.location
      return {
        status: answer.statusCode,
        type: String(answer.headers['content-type'] ?? ''),
        location: Array.isArray(location) ? location[0] : location,
        cookies: [answer.headers['set-cookie'] ?? []].flat(),
        text,
      }
    } catch (thrown) {
      throw this.#explained(thrown, deadline.passed ? timeoutMs : undefined)
    } finally {
      deadline.end()
    }
  }

  /** Lets calls under way end; there are none after it. */
  async close(): Promise<void> {
    await this.#agent.close()
  }

  /** @param lateMs the bound that was exceeded, if it was. */
  #explained(thrown: unknown, lateMs: number | undefined): SemaphoreError {
    if (lateMs !== undefined)
      return new SemaphoreError(
        'lost',
        `Semaphore at ${this.baseUrl} did not answer within ${lateMs} ms (plugins.semaphore.timeout_ms)`,
        thrown,
      )
    const { code = '', message } = thrown as NodeJS.ErrnoException
    const why = code || message
    if (/^(CERT_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|ERR_TLS_)/.test(code))
      return new SemaphoreError(
        'unreachable',
        `the certificate of Semaphore at ${this.baseUrl} is not trusted (${why}): set plugins.semaphore.ca_file to the authority that signed it`,
        thrown,
      )
    if (NOTHING_SENT.test(code))
      return new SemaphoreError(
        'unreachable',
        `Semaphore at ${this.baseUrl} cannot be reached (${why}): see that it runs, or correct plugins.semaphore.base_url`,
        thrown,
      )
    return new SemaphoreError('lost', `Semaphore at ${this.baseUrl} broke off (${why})`, thrown)
  }
}

/** The body, or what of its end is kept. */
async function textOf(body: Dispatcher.ResponseData['body'], tail: boolean): Promise<string> {
  let chunks: Buffer[] = []
  let [kept, total] = [0, 0]
  for await (const chunk of body as AsyncIterable<Buffer>) {
    chunks.push(chunk)
    kept += chunk.length
    total += chunk.length
    if (!tail && kept > MAX_BYTES) throw new Error(`it answered with more than ${MAX_BYTES} bytes`)
    if (total > MAX_OUTPUT) break
    if (!tail || kept < 2 * TAIL_BYTES) continue
    chunks = [Buffer.concat(chunks).subarray(-TAIL_BYTES)]
    kept = TAIL_BYTES
  }
  const whole = Buffer.concat(chunks)
  return (tail ? whole.subarray(-TAIL_BYTES) : whole).toString('utf8')
}

import { readFileSync } from 'node:fs'
import { Agent, request } from 'undici'
import { messageOf } from '../core/errors.ts'
import type { HestiaEvent } from '../core/events.ts'
import { CliError, EXIT, GatewayError } from './errors.ts'
import { called } from './output/called.ts'

const CONNECT_MS = 5000

/** Talks to one running gateway over its HTTP API. Close it, or the process stays. */
export class Client {
  readonly url: string
  readonly #agent = new Agent({ connectTimeout: CONNECT_MS, bodyTimeout: 0, headersTimeout: 60_000 })
  readonly #headers: Readonly<Record<string, string>>

  constructor(url: string, key: string | undefined) {
    this.url = url.replace(/\/+$/, '')
    this.#headers = key === undefined ? {} : { 'x-api-key': key }
  }

  get<T>(path: string): Promise<T> {
    return this.#ask<T>('GET', path)
  }

  post<T>(path: string, body?: unknown): Promise<T> {
    return this.#ask<T>('POST', path, body)
  }

  delete(path: string): Promise<unknown> {
    return this.#ask('DELETE', path)
  }

  /**
   * What happens, from now on, by the types that `/v1/events` takes; ends with the gateway. Resolves once the gateway tells.
   * @param types comma-separated; beginnings end with a dot.
   */
  async events(types: string, signal?: AbortSignal): Promise<AsyncIterable<HestiaEvent>> {
    const { body } = await this.#send('GET', `/v1/events?types=${encodeURIComponent(types)}`, undefined, signal)
    return readEvents(body as AsyncIterable<Uint8Array>)
  }

  async close(): Promise<void> {
    await this.#agent.destroy()
  }

  async #ask<T>(method: 'GET' | 'POST' | 'DELETE', path: string, body?: unknown): Promise<T> {
    const answer = await this.#send(method, path, body)
    const text = await answer.body.text()
    return (text === '' ? undefined : JSON.parse(text)) as T
  }

  async #send(method: 'GET' | 'POST' | 'DELETE', path: string, body?: unknown, signal?: AbortSignal) {
    const answer = await request(`${this.url}${path}`, {
      method,
      dispatcher: this.#agent,
      headers: { ...this.#headers, accept: '*/*', ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
      body: body === undefined ? null : JSON.stringify(body),
      signal: signal ?? null,
    }).catch((error: NodeJS.ErrnoException) => {
      throw this.#unreachable(error)
    })
    if (answer.statusCode < 400) return answer
    throw this.#refused(answer.statusCode, path, await answer.body.text())
  }

  #unreachable(error: NodeJS.ErrnoException): Error {
    if (error.name === 'AbortError') return error
    const why = error.code === 'ECONNREFUSED' ? 'nothing listens there' : messageOf(error) || String(error.code)
    const hint = `start one with "${called()}", or name another with --url or HESTIA_URL`
    return new CliError(`No gateway answers at ${this.url} (${why}); ${hint}.`, EXIT.unreachable)
  }

  #refused(status: number, path: string, text: string): CliError {
    let body: Record<string, unknown> = {}
    try {
      body = JSON.parse(text) as Record<string, unknown>
    } catch {
      // Not a gateway's own answer; the status says what there is to say.
    }
    const message = typeof body.message === 'string' ? body.message : `${this.url}${path} answered ${status}.`
    if (status === 401 || status === 403) {
      const hint = status === 401 ? ' Set HESTIA_KEY, or name a file with --key-file.' : ''
      return new GatewayError(status, body, EXIT.denied, `${message}${hint}`)
    }
    if (typeof body.error !== 'string')
      return new CliError(`What answers at ${this.url} is no Hestia, or lacks a plugin: ${status} for ${path}.`, EXIT.unreachable)
    const off = body.error === 'not_found' && path.startsWith('/v1/') ? ' The plugin that answers it may be off.' : ''
    return new GatewayError(status, body, EXIT.failure, `${message}${off}`)
  }
}

/** The `data` of server-sent events (WHATWG HTML, 9.2), as the gateway writes them: one line of JSON each. */
async function* readEvents(body: AsyncIterable<Uint8Array>): AsyncGenerator<HestiaEvent> {
  const decoder = new TextDecoder()
  let rest = ''
  for await (const chunk of body) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) if (line.startsWith('data: ')) yield JSON.parse(line.slice('data: '.length)) as HestiaEvent
  }
}

/** The key to show: that of a file, else HESTIA_KEY. */
export function readKey(file: string | undefined, env: Readonly<Record<string, string | undefined>>): string | undefined {
  if (file === undefined) return env.HESTIA_KEY || undefined
  try {
    return readFileSync(file, 'utf8').trim()
  } catch (error) {
    throw new CliError(`The key file cannot be read: ${messageOf(error)}.`, EXIT.usage)
  }
}

import { setTimeout as sleep } from 'node:timers/promises'
import { Connection, type Place, type Reply } from './connection.ts'
import { kindOf, SemaphoreError } from './errors.ts'
import { listOf, type Named, readNamed, readTask, readTemplate, type Task, type Template } from './read.ts'
import { linesOfJson } from './tail.ts'

/** How long a refused token or password is not tried again, in milliseconds. */
const ASK_AGAIN_MS = 60_000
/** A call that only reads and failed is made again for so long, with pauses of about that; both in milliseconds. */
const HICCUP_MS = 1000
const HICCUP_PAUSE_MS = 200
/** How many tasks of a template are looked through for one of ours. */
const LAST_TASKS = 20

export type Credentials = { readonly token: string } | { readonly user: string; readonly password: string }

/** What a task is started with; the server takes it apart as it is. */
export interface TaskOrder {
  readonly template_id: number
  readonly message: string
  /** A JSON object, as a text. */
  readonly environment?: string
  readonly limit?: string
  readonly params?: { readonly limit: readonly string[] }
}

interface Ask {
  readonly method?: 'GET' | 'POST'
  readonly body?: object
  /** Of who has a bound of its own, and asks again as it sees fit. */
  readonly timeoutMs?: number | undefined
  readonly tail?: boolean
}

/**
 * The calls of Semaphore's API that starting and stopping takes, for servers from 2.10 on. Errors are sentences that say what to
 * change; after a refused token nobody knocks for a minute.
 */
export class SemaphoreClient {
  readonly #connection: Connection
  readonly #credentials: Credentials
  readonly #timeoutMs: number
  readonly #now: () => number
  /** One for all who ask at the same time. */
  #session: Promise<string> | undefined
  #refusal: { readonly error: SemaphoreError; readonly at: number } | undefined

  constructor(place: Place, credentials: Credentials, timeoutMs: number, now = () => performance.now()) {
    this.#connection = new Connection(place)
    this.#credentials = credentials
    this.#timeoutMs = timeoutMs
    this.#now = now
  }

  /** What must never be shown. */
  get secrets(): readonly string[] {
    return 'token' in this.#credentials ? [this.#credentials.token] : [this.#credentials.password]
  }

  /** Whether something at the address is Semaphore; without saying who asks. */
  async ping(): Promise<void> {
    const headers = { accept: 'text/plain', 'user-agent': 'hestia' }
    const reply = await this.#connection.call({ method: 'GET', path: '/ping', headers, timeoutMs: this.#timeoutMs })
    if (reply.status === 200 && reply.text.trim() === 'pong') return
    throw reply.status < 300
      ? this.#isNot('/ping', reply, '"pong"')
      : failureOf(reply, 'GET', `${this.#connection.baseUrl}/api/ping`)
  }

  /** Whether Semaphore answers, and takes who we are. */
  async check(timeoutMs?: number): Promise<void> {
    await this.#json('/user/', { timeoutMs })
  }

  /** Undefined where it is not said. To be asked rarely: the server runs a program each time. */
  async version(): Promise<string | undefined> {
    const { version } = ((await this.#json('/info')) ?? {}) as { version?: unknown }
    return typeof version === 'string' && version !== '' ? version : undefined
  }

  async projects(): Promise<readonly Named[]> {
    return listOf(await this.#json('/projects')).map(readNamed)
  }

  async templates(project: number): Promise<readonly Named[]> {
    return listOf(await this.#json(`/project/${project}/templates?sort=name&order=asc`)).map(readNamed)
  }

  async template(project: number, template: number): Promise<Template> {
    return readTemplate(await this.#json(`/project/${project}/templates/${template}`))
  }

  async startTask(project: number, order: TaskOrder): Promise<Task> {
    return readTask(await this.#json(`/project/${project}/tasks`, { method: 'POST', body: order }))
  }

  /** @throws {SemaphoreError} `refused` when there is none, and also when the server's database fails. */
  async task(project: number, task: number, timeoutMs?: number): Promise<Task> {
    return readTask(await this.#json(`/project/${project}/tasks/${task}`, { timeoutMs }))
  }

  /** The newest tasks of a template, newest first. */
  async lastTasks(project: number, template: number): Promise<readonly Task[]> {
    return listOf(await this.#json(`/project/${project}/templates/${template}/tasks/last?limit=${LAST_TASKS}`)).map(readTask)
  }

  /** Never for a task that is over, whose result it would change; never with `force` for one that waits: it would run later. */
  async stopTask(project: number, task: number, force: boolean): Promise<void> {
    await this.#ask(`/project/${project}/tasks/${task}/stop`, { method: 'POST', body: { force } })
  }

  /** The end of what a task wrote. Servers before 2.14 have it as JSON only. */
  async output(project: number, task: number): Promise<string> {
    const path = `/project/${project}/tasks/${task}`
    try {
      return (await this.#ask(`${path}/raw_output`, { tail: true })).text
    } catch (thrown) {
      if (!(thrown instanceof SemaphoreError) || thrown.kind !== 'not_found') throw thrown
      return linesOfJson((await this.#ask(`${path}/output`, { tail: true })).text)
    }
  }

  /** Lets calls under way end. */
  close(): Promise<void> {
    return this.#connection.close()
  }

  async #json(path: string, ask: Ask = {}): Promise<unknown> {
    const reply = await this.#ask(path, ask)
    if (!/^application\/json\b/i.test(reply.type)) throw this.#isNot(path, reply, 'JSON')
    try {
      return JSON.parse(reply.text) as unknown
    } catch (thrown) {
      throw this.#isNot(path, reply, 'JSON', thrown)
    }
  }

  #isNot(path: string, { status, type }: Reply, wanted: string, cause?: unknown): SemaphoreError {
    return new SemaphoreError(
      'not_json',
      `${this.#connection.baseUrl}/api${path} answered ${status} with ${type || 'no content type'} instead of ${wanted}: ` +
        'plugins.semaphore.base_url is not the address of Semaphore (behind a path, it ends with that path)',
      cause,
    )
  }

  /** What may be asked twice is, for a moment: a stop that fails at one hiccup of a proxy would leave the service running unseen. */
  async #ask(path: string, ask: Ask = {}): Promise<Reply> {
    const beganAt = performance.now()
    const patienceMs = Math.min(HICCUP_MS, this.#timeoutMs)
    for (;;) {
      try {
        return await this.#askOnce(path, ask)
      } catch (thrown) {
        const mayAgain = (ask.method ?? 'GET') === 'GET' && ask.timeoutMs === undefined
        const isHiccup = ['failing', 'lost'].includes(kindOf(thrown) ?? '')
        const pauseMs = HICCUP_PAUSE_MS * (0.5 + Math.random())
        if (!mayAgain || !isHiccup || performance.now() + pauseMs - beganAt > patienceMs) throw thrown
        await sleep(pauseMs)
      }
    }
  }

  async #askOnce(path: string, ask: Ask): Promise<Reply> {
    const { method = 'GET' } = ask
    const known = this.#refusal
    if (known && this.#now() - known.at < ASK_AGAIN_MS) throw known.error
    let reply = await this.#send(path, ask)
    if (reply.status === 401 && 'user' in this.#credentials) {
      // A session ends after a while unused.
      this.#session = undefined
      reply = await this.#send(path, ask)
    }
    if (reply.status === 401) throw this.#refuse(reply)
    this.#refusal = undefined
    if (reply.status >= 200 && reply.status < 300) return reply
    throw failureOf(reply, method, `${this.#connection.baseUrl}/api${path}`)
  }

  async #send(path: string, { method = 'GET', body, timeoutMs, tail }: Ask): Promise<Reply> {
    const identity = await this.#identity()
    return this.#connection.call({
      method,
      path,
      headers: {
        ...identity,
        accept: 'application/json',
        'user-agent': 'hestia',
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      body: body === undefined ? undefined : JSON.stringify(body),
      timeoutMs: Math.min(timeoutMs ?? this.#timeoutMs, this.#timeoutMs),
      tail: tail ?? false,
    })
  }

  async #identity(): Promise<Record<string, string>> {
    if ('token' in this.#credentials) return { authorization: `Bearer ${this.#credentials.token}` }
    const session = this.#session ?? this.#logIn(this.#credentials)
    this.#session = session
    session.catch(() => {
      if (this.#session === session) this.#session = undefined
    })
    return { cookie: await session }
  }

  async #logIn({ user, password }: { user: string; password: string }): Promise<string> {
    const path = '/auth/login'
    const reply = await this.#connection.call({
      method: 'POST',
      path,
      headers: { accept: 'application/json', 'content-type': 'application/json', 'user-agent': 'hestia' },
      body: JSON.stringify({ auth: user, password }),
      timeoutMs: this.#timeoutMs,
    })
    if (reply.status === 401) throw this.#refuse(reply)
    const cookie = reply.cookies.find((one) => one.startsWith('semaphore='))?.split(';')[0]
    if (reply.status >= 200 && reply.status < 300 && cookie) return cookie
    throw failureOf(reply, 'POST', `${this.#connection.baseUrl}/api${path}`)
  }

  #refuse(reply: Reply): SemaphoreError {
    const said = errorIn(reply)
    const second = /TOTP|OTP|SESSION_NOT_VERIFIED/.test(said)
    const what = 'token' in this.#credentials ? 'plugins.semaphore.token' : 'plugins.semaphore.user and password'
    const why = second
      ? `wants a second factor (${said}), which a user of Hestia's own must not have; or use an API token: plugins.semaphore.token`
      : `does not take ${what} (401${said && `, ${said}`}): the token was revoked, has expired, or is another server's`
    const error = new SemaphoreError('unauthorized', `Semaphore at ${this.#connection.baseUrl} ${why}`)
    this.#refusal = { error, at: this.#now() }
    return error
  }
}

/** What the server says of an error; mostly nothing. */
function errorIn({ text }: Reply): string {
  try {
    const { error } = JSON.parse(text) as { error?: unknown }
    return typeof error === 'string' ? error.slice(0, 300) : ''
  } catch {
    return ''
  }
}

function failureOf(reply: Reply, method: string, url: string): SemaphoreError {
  const { status, location } = reply
  const said = errorIn(reply)
  const answer = `${method} ${url} was answered ${status}${said && ` (${said})`}`
  if (location !== undefined && status < 400)
    return new SemaphoreError('not_json', `${answer} and sends us on to ${location}: correct plugins.semaphore.base_url`)
  if (status === 403)
    return new SemaphoreError('forbidden', `${answer}: its user needs at least the role "Task Runner" in the project`)
  if (status === 404)
    return new SemaphoreError(
      'not_found',
      `${answer}: there is no such project or template, or its user is no member of the project`,
    )
  if (status === 429 || status >= 500)
    return new SemaphoreError('failing', `${answer}: look into the log of Semaphore, or of the proxy before it`)
  return new SemaphoreError('refused', answer)
}

import { readFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { answer, type Knobs, parsed } from './semaphore-server/api.ts'
import { answerFaults, requestFaults } from './semaphore-server/description.ts'
import { type Behaviour, State, type TaskRow, type TemplateRow } from './semaphore-server/state.ts'
import { describedVersion } from './semaphore-server/versions.ts'

type Teardown = { teardown(fn: () => unknown): void }

/**
 * What goes wrong with a request. `drop`: it is done, and the connection breaks before the answer; `reset`: it breaks before it is
 * done; `hang`: no answer; `html`: the page that stands outside of `/api`; a number: that status from a proxy, nothing is done.
 */
export type FaultKind = 'drop' | 'reset' | 'hang' | 'html' | number

export interface SeenRequest {
  readonly method: string
  readonly path: string
  readonly body: unknown
  readonly headers: IncomingMessage['headers']
}

export interface SemaphoreServer {
  readonly url: string
  readonly state: State
  readonly knobs: Knobs
  readonly seen: SeenRequest[]
  /** How many requests are not answered yet. */
  readonly open: number
  /** Where requests broke the API's description; the test fails on them in the end. */
  readonly violations: string[]
  /** Adds a template: survey variables, a variable group and Ansible, unless said otherwise. */
  template(row: Partial<TemplateRow> & { id: number; name: string }, behaviour?: Behaviour): void
  /** The next `times` requests that match go wrong. */
  fault(kind: FaultKind, matches?: (method: string, path: string) => boolean, times?: number): void
  /** Statuses that the next looks at a task are answered with, whatever its row says. */
  script(...statuses: string[]): void
  tasks(): TaskRow[]
  count(method: string, path: RegExp): number
  /** Nobody listens any more, and all connections are cut; what runs goes on. */
  down(): Promise<void>
  /** Listens again at the same place. */
  up(): Promise<void>
}

const SURVEY = [
  { name: 'hestia_service', title: 'Service' },
  {
    name: 'hestia_action',
    title: 'Action',
    type: 'enum',
    values: [
      { name: 'start', value: 'start' },
      { name: 'stop', value: 'stop' },
    ],
  },
]
const PAGE = '<!DOCTYPE html><html><head><title>Semaphore</title></head><body><div id="app"></div></body></html>'
const fixture = (name: string) => readFileSync(new URL(`../fixtures/semaphore/${name}`, import.meta.url), 'utf8')

/**
 * A double of Semaphore UI that behaves as its servers do, not as their description says: what the two differ in is what a client
 * stumbles over. Every request is checked against the description, and anything that Hestia has no business with is a failure of
 * the test.
 */
export async function startSemaphore(
  t: Teardown,
  options: {
    knobs?: Partial<Knobs>
    webroot?: string
    tls?: boolean
    allowViolations?: boolean
    listen?: { host: string; port: number }
  } = {},
): Promise<SemaphoreServer> {
  const state = new State()
  const knobs: Knobs = {
    token: 'gv8kzr1b2o_9x4-tq3uwe5yn7c0a6ldmfhsij1p2k3r4=',
    nextToken: undefined,
    user: 'hestia',
    password: 'correct horse',
    version: '2.16.40-cbd56202-0',
    latencyMs: 0,
    surveyStrict: false,
    guest: false,
    totp: false,
    ...options.knobs,
  }
  const seen: SeenRequest[] = []
  const violations: string[] = []
  const faults: { kind: FaultKind; matches: (method: string, path: string) => boolean; left: number }[] = []
  const scripted: string[] = []
  const world = { state, knobs, scripted }
  const api = `${options.webroot ?? ''}/api`

  let open = 0
  const listener = (request: IncomingMessage, response: ServerResponse): void => {
    open++
    response.once('close', () => open--)
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => void serve(request, response, Buffer.concat(chunks).toString()))
  }

  async function serve(request: IncomingMessage, response: ServerResponse, text: string): Promise<unknown> {
    const { method = '', headers } = request
    const url = new URL(request.url ?? '', 'http://semaphore')
    const json = (status: number, body?: unknown): unknown => {
      const shown = body === undefined ? '' : `${JSON.stringify(body)}\n`
      const version = describedVersion(knobs.version)
      if (body !== undefined && version && path.includes('/tasks'))
        violations.push(...answerFaults(version, method, path, status, body).map((one) => `the double itself: ${one}`))
      return response
        .writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(shown) })
        .end(shown)
    }
    const plain = (status: number, body: string) =>
      response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8' }).end(body)
    const page = () => response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' }).end(PAGE)
    if (!url.pathname.startsWith(`${api}/`)) return page()
    const path = url.pathname.slice(api.length)
    const body = parsed(text)
    seen.push({ method, path: path + url.search, body, headers })
    violations.push(...requestFaults(method, path, url.searchParams, body))
    if (knobs.latencyMs > 0) await sleep(knobs.latencyMs)
    const fault = faults.find((one) => one.left > 0 && one.matches(method, path))
    if (fault) {
      fault.left--
      if (fault.kind === 'hang') return undefined
      if (fault.kind === 'reset') return response.socket?.destroy()
      if (fault.kind === 'html') return page()
      if (typeof fault.kind === 'number')
        return response.writeHead(fault.kind, { 'content-type': 'text/html' }).end(`<h1>${fault.kind}</h1>`)
      const { socket } = response
      // Done, and nobody hears of it.
      response.writeHead = () => response
      response.end = () => {
        socket?.destroy()
        return response
      }
    }
    return answer(world, { method, path, query: url.searchParams, text, body, headers, json, plain, response })
  }

  const server = options.tls
    ? createTlsServer({ cert: fixture('server.pem'), key: fixture('server.key') }, listener)
    : createServer(listener)
  const { host, port: wanted } = options.listen ?? { host: '127.0.0.1', port: 0 }
  const listen = (port: number) => new Promise<void>((resolve) => server.listen(port, host, resolve))
  const down = async () => {
    if (!server.listening) return
    await new Promise<void>((resolve) => {
      server.close(() => resolve())
      server.closeAllConnections()
    })
  }
  await listen(wanted)
  const { port } = server.address() as AddressInfo
  t.teardown(async () => {
    state.restart()
    await down()
    if (violations.length > 0 && !options.allowViolations)
      throw new Error(`against the API of Semaphore: ${violations.join('; ')}`)
  })
  return {
    url: `${options.tls ? 'https' : 'http'}://127.0.0.1:${port}${options.webroot ?? ''}`,
    state,
    knobs,
    seen,
    get open() {
      return open
    },
    violations,
    template(row, behaviour = {}) {
      const inventory = { inventory_id: 1, repository_id: 1, playbook: 'svc.yml', tasks: 4 }
      state.templates.set(row.id, { ...inventory, project_id: 1, app: 'ansible', environment_id: 1, survey_vars: SURVEY, ...row })
      state.behaviours.set(row.id, behaviour)
    },
    fault(kind, matches = () => true, times = 1) {
      faults.push({ kind, matches, left: times })
    },
    script: (...statuses) => scripted.push(...statuses),
    tasks: () => [...state.rows.values()],
    count: (method, path) => seen.filter((one) => one.method === method && path.test(one.path)).length,
    down,
    up: () => listen(port),
  }
}

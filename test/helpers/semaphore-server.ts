import { readFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { answerFaults, requestFaults } from './semaphore-server/description.ts'
import { type Behaviour, State, type TaskRow, type TemplateRow } from './semaphore-server/state.ts'
import { describedVersion, isSince, shownTask, shownTemplate } from './semaphore-server/versions.ts'

type Teardown = { teardown(fn: () => unknown): void }

/**
 * What goes wrong with a request. `drop`: it is done, and the connection breaks before the answer; `reset`: it breaks before it is
 * done; `hang`: no answer; `html`: the page that stands outside of `/api`; a number: that status from a proxy, nothing is done.
 */
export type FaultKind = 'drop' | 'reset' | 'hang' | 'html' | number

export interface Knobs {
  token: string
  /** Valid as well, while one takes the place of the other. */
  nextToken: string | undefined
  user: string
  password: string
  /** As `/info` says it; what the server has, and how its answers look, is that of the version. */
  version: string
  /** How long each answer takes. */
  latencyMs: number
  /** Newest servers: 400 for variables that the survey doesn't declare. */
  surveyStrict: boolean
  /** The role of the user lets it look only. */
  guest: boolean
  /** What logging in is answered with after that: a second factor is missing. */
  totp: boolean
}

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
    return answer({ method, path, query: url.searchParams, text, body, headers, json, plain, response })
  }

  interface Exchange {
    method: string
    path: string
    query: URLSearchParams
    text: string
    body: unknown
    headers: IncomingMessage['headers']
    json: (status: number, body?: unknown) => unknown
    plain: (status: number, body: string) => unknown
    response: ServerResponse
  }

  function answer({ method, path, query, text, body, headers, json, plain, response }: Exchange): unknown {
    if (path === '/ping') return plain(200, 'pong')
    if (path === '/auth/login') {
      const { auth, password } = (body ?? {}) as { auth?: string; password?: string }
      if (body === undefined) return json(400)
      if (auth?.toLowerCase() !== knobs.user || password !== knobs.password) return json(401)
      response.setHeader('set-cookie', `semaphore=${session}; Path=/; HttpOnly`)
      return response.writeHead(204).end()
    }
    const bearer = headers.authorization?.toLowerCase()
    const isMember = bearer?.includes('bearer')
      ? [knobs.token, knobs.nextToken].some((one) => one !== undefined && bearer === `bearer ${one.toLowerCase()}`)
      : headers.cookie?.includes(`semaphore=${session}`)
    if (!isMember) return json(401)
    if (!bearer && knobs.totp) return json(401, { error: 'TOTP_REQUIRED' })
    if (path.replace(/\/$/, '') === '/user')
      return json(200, {
        id: 2,
        created: '2026-11-22T10:00:00Z',
        username: 'hestia',
        name: 'Hestia',
        email: 'h@x',
        admin: false,
        external: false,
        alert: false,
        pro: false,
        can_create_project: false,
        has_active_subscription: false,
      })
    if (path === '/info') return json(200, { version: knobs.version, ansible: '', web_host: '', use_remote_runner: false })
    if (path === '/projects')
      return json(
        200,
        state.projects.map((one) => ({ ...one, created: '2026-11-22T10:00:00Z', type: '' })),
      )
    const [, project, rest = ''] = /^\/project\/(\d+)\/?(.*)$/.exec(path) ?? []
    if (project === undefined) return plain(404, 'Not Found')
    const pid = Number(project)
    if (!state.projects.some(({ id }) => id === pid)) return json(404)
    if (knobs.guest && method !== 'GET') return json(403)
    if (rest === 'templates') {
      const all = [...state.templates.values()].filter((one) => one.project_id === pid)
      return json(200, all.length === 0 ? null : all.map((one) => shownTemplate(one, knobs.version, true)))
    }
    const [, template, ofTemplate] = /^templates\/(\d+)(\/tasks\/last)?$/.exec(rest) ?? []
    if (template !== undefined) {
      const found = state.templates.get(Number(template))
      if (found?.project_id !== pid) return json(404)
      if (!ofTemplate) return json(200, shownTemplate(found, knobs.version))
      const rows = [...state.rows.values()].filter((row) => row.template_id === found.id).toReversed()
      const last = rows.slice(0, Number(query.get('limit')) || 200)
      if (isSince(knobs.version, 2, 20)) response.setHeader('x-has-next', String(rows.length > last.length))
      const more = { tpl_playbook: 'svc.yml', tpl_alias: found.name, user_name: 'Hestia' }
      return json(200, last.length === 0 ? null : last.map((row) => ({ ...shownTask(row, knobs.version), ...more })))
    }
    if (rest === 'tasks' && method === 'POST') return startTask(pid, body, json)
    const [, task, what = ''] = /^tasks\/(\d+)(?:\/(\w+))?$/.exec(rest) ?? []
    const row = state.rows.get(Number(task))
    if (task === undefined) return plain(404, 'Not Found')
    if (row?.project_id !== pid) return json(400)
    if (what === '') {
      const status = scripted.shift()
      return json(200, { ...shownTask(row, knobs.version), ...(status === undefined ? {} : { status }) })
    }
    if (what === 'stop') {
      if (text.trim() === '' || typeof body !== 'object') return json(400)
      state.stop(row.id, (body as { force?: boolean }).force === true)
      return response.writeHead(204).end()
    }
    if (what === 'raw_output' && isSince(knobs.version, 2, 14)) return plain(200, `${row.output.join('\n')}\n`)
    const lines = row.output.map((output) => ({ id: 0, task_id: row.id, time: row.created, output }))
    if (what === 'output') return json(200, lines.length === 0 ? null : lines)
    return plain(404, 'Not Found')
  }

  function startTask(pid: number, body: unknown, json: (status: number, body?: unknown) => unknown): unknown {
    const order = (body ?? {}) as Record<string, unknown>
    const { template_id = 0, environment = '', message = '', limit = '', params } = order
    const isWrong =
      typeof body !== 'object' || typeof template_id !== 'number' || typeof environment !== 'string' || typeof limit !== 'string'
    if (isWrong) return json(400)
    const template = state.templates.get(template_id)
    if (template?.project_id !== pid) return json(isSince(knobs.version, 2, 13) ? 404 : 500)
    const given = parsed(environment)
    const isObject = typeof given === 'object' && given !== null && !Array.isArray(given)
    if (knobs.surveyStrict && isObject && !template.allow_any_vars_in_task) {
      const declared = new Set((template.survey_vars ?? []).map((one) => (one as { name: string }).name))
      const unknown = Object.keys(given).find((name) => !declared.has(name))
      if (unknown !== undefined) return json(400, { error: `variable ${unknown} is not declared in the template survey` })
    }
    const row = {
      template_id: template_id,
      project_id: pid,
      environment: environment,
      message: message as string,
      limit,
      params: params as { limit?: string[] } | undefined,
    }
    const hasGroup = (template.environment_id ?? 0) > 0 || (template.environment_ids?.length ?? 0) > 0
    const isTooLong = (message as string).length > 250
    if ((environment !== '' && (!isObject || !hasGroup)) || isTooLong) {
      // The row is there before it is found out.
      state.add(row, 'error')
      return json(500)
    }
    state.honoursLimit = !isSince(knobs.version, 2, 13)
    return json(201, shownTask(state.add(row), knobs.version))
  }

  const session = 'MTczMjI3MjAwMHxz'
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

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    return undefined
  }
}

import type { IncomingMessage, ServerResponse } from 'node:http'
import type { State } from './state.ts'
import { isSince, shownTask, shownTemplate } from './versions.ts'

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

/** What the API speaks of. */
export interface World {
  readonly state: State
  readonly knobs: Knobs
  /** Statuses that the next looks at a task are answered with. */
  readonly scripted: string[]
}

const SESSION = 'MTczMjI3MjAwMHxz'

/** A request, and ways to answer it. */
export interface Exchange {
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

/** Answers as a server does; what is kept of it is in `state`. */
export function answer(world: World, exchange: Exchange): unknown {
  const { state, knobs, scripted } = world
  const { method, path, query, text, body, headers, json, plain, response } = exchange
  if (path === '/ping') return plain(200, 'pong')
  if (path === '/auth/login') {
    const { auth, password } = (body ?? {}) as { auth?: string; password?: string }
    if (body === undefined) return json(400)
    if (auth?.toLowerCase() !== knobs.user || password !== knobs.password) return json(401)
    response.setHeader('set-cookie', `semaphore=${SESSION}; Path=/; HttpOnly`)
    return response.writeHead(204).end()
  }
  const bearer = headers.authorization?.toLowerCase()
  const isMember = bearer?.includes('bearer')
    ? [knobs.token, knobs.nextToken].some((one) => one !== undefined && bearer === `bearer ${one.toLowerCase()}`)
    : headers.cookie?.includes(`semaphore=${SESSION}`)
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
  if (rest === 'tasks' && method === 'POST') return startTask(world, pid, body, json)
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

function startTask(
  { state, knobs }: World,
  pid: number,
  body: unknown,
  json: (status: number, body?: unknown) => unknown,
): unknown {
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

/** Undefined for what is no JSON. */
export function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    return undefined
  }
}

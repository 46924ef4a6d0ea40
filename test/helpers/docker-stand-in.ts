import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

type Teardown = { teardown(fn: () => unknown): void }

/** A request as the stand-in got it. */
export interface Call {
  readonly method: string
  /** Without the version in front. */
  readonly path: string
  readonly version: string
  readonly query: Record<string, string>
  readonly headers: IncomingMessage['headers']
  readonly body: unknown
}

/** Answers a call its own way; false leaves it to the stand-in. */
export type Misbehave = (call: Call, response: ServerResponse) => boolean | undefined

interface Container {
  id: string
  name: string
  status: string
  exitCode: number
  health: string | undefined
  checkOutput: string
  labels: Record<string, string>
  log: string
}

/**
 * Something on a Unix socket that speaks as much of the Docker Engine API as is used, and may be made to misbehave: for errors and
 * slowness that a real daemon doesn't have on demand. What it answers was seen from a daemon of version 20.10 (API 1.41).
 */
export interface DockerStandIn {
  readonly host: string
  readonly socket: string
  readonly calls: Call[]
  readonly containers: Map<string, Container>
  readonly images: Map<string, string>
  misbehave: Misbehave
  apiVersion: string
  add(name: string, over?: Partial<Container>): Container
  /** Changes a container and tells of it. */
  happens(name: string, action: string, over: Partial<Container>): void
  /** Ends all streams of events. */
  dropEvents(): void
  /** How many listen to events. */
  readonly listeners: number
  close(): Promise<void>
}

const VERSIONED = /^\/v(\d+\.\d+)(\/.*)$/

export function json(response: ServerResponse, status: number, body?: unknown): true {
  response.writeHead(status, { 'content-type': 'application/json' })
  response.end(body === undefined ? undefined : JSON.stringify(body))
  return true
}

export async function dockerStandIn(t: Teardown): Promise<DockerStandIn> {
  const dir = mkdtempSync(join(tmpdir(), 'hestia-docker-stand-in-'))
  const socket = join(dir, 'd.sock')
  const events = new Set<ServerResponse>()
  const containers = new Map<string, Container>()
  const images = new Map([['img:1', 'sha256:one']])
  const calls: Call[] = []
  let made = 0

  const find = (idOrName: string) => [...containers.values()].find(({ id, name }) => id === idOrName || name === idOrName)
  const tell = (container: Container, Action: string) => {
    for (const stream of events) stream.write(`${JSON.stringify({ Type: 'container', Action, Actor: { ID: container.id } })}\n`)
  }
  const asInspected = ({ id, name, status, exitCode, health, checkOutput, labels }: Container) => ({
    Id: id,
    Name: `/${name}`,
    Image: images.get('img:1'),
    State: {
      Status: status,
      ExitCode: exitCode,
      OOMKilled: false,
      Error: '',
      ...(health ? { Health: { Status: health, Log: [{ Output: checkOutput }] } } : {}),
    },
    Config: { Labels: labels, Tty: false },
  })

  function answer({ method, path, query, body }: Call, response: ServerResponse): void {
    const [, kind, name = '', verb] = /^\/(containers|images|events)(?:\/([^/]+))?(?:\/([^/]+))?$/.exec(path) ?? []
    if (kind === 'events') {
      response.writeHead(200, { 'content-type': 'application/json' })
      response.flushHeaders()
      events.add(response)
      response.once('close', () => events.delete(response))
      return
    }
    if (kind === 'images') {
      if (method === 'POST') {
        images.set(`${query.fromImage}:${query.tag}`, `sha256:${query.tag}`)
        return void json(response, 200, { status: 'Status: Downloaded newer image' })
      }
      const id = images.get(decodeURIComponent(name))
      return void (id ? json(response, 200, { Id: id }) : json(response, 404, { message: `No such image: ${name}` }))
    }
    if (name === 'json') {
      const { label = [] } = JSON.parse(query.filters ?? '{}') as { label?: string[] }
      const has = (labels: Record<string, string>, wanted: string) => {
        const [key = '', value] = wanted.split(/=(.*)/s)
        return value === undefined ? key in labels : labels[key] === value
      }
      const found = [...containers.values()].filter(({ labels }) => label.every((wanted) => has(labels, wanted)))
      return void json(
        response,
        200,
        found.map(({ id, name }) => ({ Id: id, Names: [`/${name}`] })),
      )
    }
    if (name === 'create') {
      const wanted = query.name ?? ''
      if (find(wanted))
        return void json(response, 409, { message: `Conflict. The container name "/${wanted}" is already in use` })
      const container = add(wanted, { status: 'created', labels: (body as { Labels: Record<string, string> }).Labels })
      return void json(response, 201, { Id: container.id, Warnings: [] })
    }
    const container = find(decodeURIComponent(name))
    if (!container) return void json(response, 404, { message: `No such container: ${name}` })
    if (method === 'DELETE') {
      containers.delete(container.name)
      tell(container, 'destroy')
      return void json(response, 204)
    }
    if (verb === 'json') return void json(response, 200, asInspected(container))
    if (verb === 'logs') {
      const text = Buffer.from(container.log)
      const header = Buffer.alloc(8)
      header[0] = 2
      header.writeUInt32BE(text.length, 4)
      return void response.end(Buffer.concat([header, text]))
    }
    const isUp = container.status === 'running'
    if (verb === 'start' || verb === 'unpause') {
      container.status = 'running'
      if (!isUp) tell(container, verb)
      return void json(response, isUp ? 304 : 204)
    }
    if (verb === 'stop') {
      container.status = 'exited'
      if (isUp) tell(container, 'die')
      return void json(response, isUp ? 204 : 304)
    }
    json(response, 404, { message: 'page not found' })
  }

  function add(name: string, over: Partial<Container> = {}): Container {
    const container: Container = {
      id: `${++made}`.padStart(64, '0'),
      name,
      status: 'exited',
      exitCode: 0,
      health: undefined,
      checkOutput: '',
      labels: {},
      log: '',
      ...over,
    }
    containers.set(name, container)
    return container
  }

  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const { pathname, searchParams } = new URL(request.url ?? '/', 'http://localhost')
      const [, version = '', path = pathname] = VERSIONED.exec(pathname) ?? []
      const text = Buffer.concat(chunks).toString()
      const call: Call = {
        method: request.method ?? '',
        path,
        version,
        query: Object.fromEntries(searchParams),
        headers: request.headers,
        body: text === '' ? undefined : JSON.parse(text),
      }
      calls.push(call)
      if (standIn.misbehave(call, response)) return
      if (path === '/_ping') response.writeHead(200, { 'api-version': standIn.apiVersion }).end('OK')
      else answer(call, response)
    })
  })
  await new Promise<void>((resolve) => server.listen(socket, resolve))

  let closed = false
  const standIn: DockerStandIn = {
    host: `unix://${socket}`,
    socket,
    calls,
    containers,
    images,
    misbehave: () => false,
    apiVersion: '1.41',
    add,
    happens: (name, action, over) => {
      const container = Object.assign(find(name)!, over)
      tell(container, action)
    },
    dropEvents: () => {
      for (const stream of events) stream.end()
    },
    get listeners() {
      return events.size
    },
    close: () =>
      new Promise((resolve) => {
        if (closed) return resolve()
        closed = true
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
  t.teardown(async () => {
    await standIn.close()
    rmSync(dir, { recursive: true, force: true })
  })
  return standIn
}

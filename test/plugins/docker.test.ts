import { once } from 'node:events'
import { chmodSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { Pool } from 'undici'
import { readPlugin } from '../../core/plugin.ts'
import { Engine } from '../../plugins/docker/engine.ts'
import { reference } from '../../plugins/docker/image.ts'
import docker from '../../plugins/docker/index.ts'
import { frames } from '../../plugins/docker/logs.ts'
import { portsOf, specFor } from '../../plugins/docker/spec.ts'
import { type DockerStandIn, dockerStandIn, json } from '../helpers/docker-stand-in.ts'
import { type RunningGateway, startGateway } from '../helpers/gateway.ts'
import { until } from '../helpers/until.ts'
import { deadPort, rawUpstream } from '../helpers/upstream.ts'

interface Setting {
  section: Record<string, unknown>
  service?: Record<string, unknown>
  options?: Record<string, unknown>
}

const configOf = ({ section, service, options }: Setting): string =>
  JSON.stringify({
    plugins: { defaults: false, docker: options ?? {}, health: {}, api: {} },
    services: { s: { base_url: 'http://127.0.0.1:9', warmup_ms: 0, start: { cooldown_ms: 0 }, ...service, docker: section } },
  })

/** A gateway with one service on a stand-in for a daemon. */
async function world(
  t: Test,
  setting: Setting,
): Promise<RunningGateway & { daemon: DockerStandIn; change(to: Setting): Promise<void> }> {
  const daemon = await dockerStandIn(t)
  const over = (given: Setting): Setting => ({ ...given, options: { host: daemon.host, timeout_ms: 2000, ...given.options } })
  const gateway = await startGateway(t, { config: configOf(over(setting)) })
  const change = async (to: Setting) => {
    const from = gateway.events.length
    await gateway.configure(configOf(over(to)))
    await gateway.event('reload.applied', () => true, from)
  }
  return { ...gateway, daemon, change }
}

const called = ({ calls }: DockerStandIn, method: string, path: RegExp) =>
  calls.filter((call) => call.method === method && path.test(call.path))
const notes = ({ events }: RunningGateway) => events.flatMap((event) => (event.type === 'instance.progress' ? [event.note] : []))

t.test('R19 an existing container is started and stopped, by name or by label', async (t) => {
  const gateway = await world(t, { section: { container: 'web', stop_grace_ms: 2500 } })
  const { daemon } = gateway
  const web = daemon.add('web', { labels: { role: 'web' } })
  const instance = gateway.instance('s')
  await instance.start()
  t.equal(web.status, 'running')
  t.match(instance.data.docker, { target: { host: daemon.host }, id: web.id, name: 'web', made: false })
  await instance.stop('idle')
  t.equal(web.status, 'exited')
  t.match(called(daemon, 'POST', /stop$/), [{ query: { t: '3' }, version: '1.41' }])
  t.same(instance.data, {})

  await gateway.change({ section: { label: 'role=web' } })
  await instance.start()
  t.equal(web.status, 'running')
  await instance.stop('idle')
  daemon.add('other', { labels: { role: 'web' } })
  await t.rejects(instance.start(), {
    message: /2 containers at unix:.* have the label role=web: web, other; give it to one of them only/,
  })
  await gateway.change({ section: { label: 'role=none' } })
  await t.rejects(instance.start(), { message: /no container at .* has the label role=none .* services\.s\.docker\.label/ })
  await gateway.change({ section: { container: 'nope' } })
  await t.rejects(instance.start(), { message: /no container at .* has the name nope \(docker ps -a lists them\)/ })
})

t.test('what runs already is gone on with, what is paused goes on', async (t) => {
  const gateway = await world(t, { section: { container: 'web' } })
  const web = gateway.daemon.add('web', { status: 'running' })
  const instance = gateway.instance('s')
  await instance.start()
  t.same(called(gateway.daemon, 'POST', /start$/), [])
  t.match(notes(gateway).join(), /container web runs already/)
  await instance.stop('idle')
  t.equal(web.status, 'exited', 'and is stopped like any other')
  web.status = 'paused'
  await instance.start()
  t.equal(web.status, 'running')
  t.equal(called(gateway.daemon, 'POST', /unpause$/).length, 1)
})

t.test('R19 a container is made of an image, and made anew when its settings or the image change', async (t) => {
  const section = { image: 'img:1', env: { A: 1 }, ports: ['8188:80'], volumes: ['./data:/data'] }
  const gateway = await world(t, { section })
  const { daemon } = gateway
  const instance = gateway.instance('s')
  await instance.start()
  const [create] = called(daemon, 'POST', /create$/)
  t.match(create, {
    query: { name: 'hestia-s-default' },
    body: {
      Image: 'img:1',
      Env: ['A=1'],
      ExposedPorts: { '80/tcp': {} },
      HostConfig: {
        PortBindings: { '80/tcp': [{ HostIp: '127.0.0.1', HostPort: '8188' }] },
        Binds: [`${join(gateway.dir, 'data')}:/data`],
      },
      Labels: { 'hestia.service': 's', 'hestia.instance': 'default', 'hestia.spec': /^[0-9a-f]{64}$/ },
    },
  })
  await instance.stop('idle')
  await instance.start()
  t.equal(called(daemon, 'POST', /create$/).length, 1, 'the same container is used again')

  await gateway.change({ section: { ...section, env: { A: 2 } } })
  t.equal(instance.state, 'hot', 'what runs is left alone')
  await instance.stop('idle')
  await instance.start()
  t.equal(called(daemon, 'POST', /create$/).length, 2)
  t.equal(daemon.containers.size, 1, 'the old one is gone')
  t.match(notes(gateway).join(), /made with other settings, or of an older image/)

  await instance.stop('idle')
  daemon.images.set('img:1', 'sha256:newer')
  await instance.start()
  t.equal(called(daemon, 'POST', /create$/).length, 3)

  await instance.stop('idle')
  await gateway.change({ section: { ...section, env: { A: 2 }, auto_remove: true } })
  await instance.start()
  t.equal(called(daemon, 'POST', /create$/).length, 3, 'it is no other container for that')
  await instance.stop('idle')
  t.equal(daemon.containers.size, 0, 'auto_remove')

  daemon.add('hestia-s-default')
  await t.rejects(instance.start(), {
    message:
      /there is a container hestia-s-default at .* that Hestia did not make: remove it \(docker rm hestia-s-default\), set docker\.name/,
  })
})

t.test('R18 a container that was made and is found without a record is used again', async (t) => {
  const gateway = await world(t, { section: { image: 'img:1' } })
  const { daemon } = gateway
  const instance = gateway.instance('s')
  await instance.start()
  const { starter } = readPlugin('docker', docker).definition
  t.equal(await starter?.stillRuns?.(instance), true)
  await gateway.close()
  const [found] = daemon.containers.values()
  found!.status = 'running'

  const next = await startGateway(t, { config: configOf({ section: { image: 'img:1' }, options: { host: daemon.host } }) })
  await next.instance('s').start()
  t.equal(daemon.containers.size, 1)
  t.equal(called(daemon, 'POST', /create$/).length, 1)
  t.match(next.instance('s').data.docker, { id: found!.id, made: true })
  t.equal(await starter?.stillRuns?.(next.instance('s')), true)
  found!.status = 'exited'
  t.equal(await starter?.stillRuns?.(next.instance('s')), false)
  daemon.containers.clear()
  t.equal(await starter?.stillRuns?.(next.instance('s')), false)
  await daemon.close()
  await t.rejects(Promise.resolve(starter?.stillRuns?.(next.instance('s'))), { message: /no Docker (socket|daemon)/ })
})

t.test('R8 its own HEALTHCHECK says when it is ready', async (t) => {
  const gateway = await world(t, { section: { container: 'web', healthcheck: 'required' }, service: { warmup_ms: undefined } })
  const { daemon } = gateway
  const instance = gateway.instance('s')
  daemon.add('web', { health: 'starting' })
  const started = instance.start()
  await until(() => notes(gateway).some((note) => /waiting for its HEALTHCHECK/.test(note)), 'the wait')
  await until(() => daemon.listeners === 1, 'the events')
  t.equal(instance.state, 'starting')
  daemon.happens('web', 'health_status: healthy', { health: 'healthy' })
  await started

  daemon.happens('web', 'health_status: unhealthy', { health: 'unhealthy', checkOutput: 'disk full\n' })
  await until(() => !instance.healthy, 'it to be unhealthy')
  t.match(await gateway.event('instance.health', ({ healthy }) => !healthy), { reason: /container web is unhealthy: disk full/ })
  daemon.happens('web', 'health_status: healthy', { health: 'healthy' })
  await until(() => instance.healthy, 'it to be well')
  await instance.stop('manual')
  await until(() => daemon.listeners === 0, 'nobody to listen any more')

  daemon.happens('web', 'x', { health: 'unhealthy', checkOutput: 'no GPU' })
  await t.rejects(instance.start(), { message: /container web is unhealthy: no GPU/ })
  daemon.happens('web', 'x', { health: undefined })
  await t.rejects(instance.start(), { message: /container web has no HEALTHCHECK, and docker\.healthcheck is "required"/ })
  await gateway.change({ section: { container: 'web' } })
  daemon.happens('web', 'x', { health: 'starting' })
  const waiting = instance.start()
  await until(() => daemon.listeners === 1, 'the events')
  t.equal(instance.state, 'starting', 'auto waits for it as well')
  daemon.happens('web', 'x', { health: 'healthy' })
  await waiting
  await instance.stop('manual')
  daemon.happens('web', 'x', { health: 'starting' })
  await gateway.change({ section: { container: 'web', healthcheck: 'off' } })
  await instance.start()
})

t.test('R8 a container that ends is seen at once, and its last lines are told', async (t) => {
  const gateway = await world(t, { section: { container: 'web' } })
  const { daemon } = gateway
  const instance = gateway.instance('s')
  daemon.add('web', { health: 'starting', log: '2026-11-23T02:43:33.5Z \u001b[31mout of paper\u001b[0m\n' })
  const started = instance.start()
  started.catch(() => undefined)
  await until(() => daemon.listeners === 1, 'the events')
  daemon.happens('web', 'die', { status: 'exited', exitCode: 3 })
  await t.rejects(started, { message: /container web exited with code 3; its last lines: out of paper/ })

  daemon.happens('web', 'x', { health: 'healthy' })
  await instance.start()
  daemon.dropEvents()
  await until(() => daemon.listeners === 1, 'to listen again')
  daemon.happens('web', 'die', { status: 'exited', exitCode: 137 })
  t.match((await gateway.event('instance.crashed')).error, /container web exited with code 137/)
  await until(() => instance.state === 'cold', 'it to be cold')

  await instance.start()
  daemon.containers.get('web')!.status = 'exited'
  daemon.dropEvents()
  await until(() => instance.state === 'cold', 'an end that nobody told of to be seen')

  await instance.start()
  await until(() => daemon.listeners === 1, 'the events')
  const from = gateway.events.length
  daemon.containers.delete('web')
  daemon.dropEvents()
  t.match((await gateway.event('instance.crashed', () => true, from)).error, /its container was removed/)
})

t.test('a container that the daemon restarts has not ended', async (t) => {
  const gateway = await world(t, { section: { container: 'web' } })
  const { daemon } = gateway
  const web = daemon.add('web')
  const instance = gateway.instance('s')
  await instance.start()
  await until(() => daemon.listeners === 1, 'the events')
  const inspections = () => called(daemon, 'GET', /\/json$/).length
  const before = inspections()
  daemon.happens('web', 'die', { status: 'restarting' })
  await until(() => inspections() > before, 'a look')
  web.status = 'running'
  t.equal(instance.state, 'hot')
})

t.test('an image that is missing is pulled, with its progress', async (t) => {
  const gateway = await world(t, { section: { image: 'registry.test:5000/a/b', registry: { username: 'u', password: 'p?>' } } })
  const { daemon } = gateway
  daemon.misbehave = ({ method, path }, response) => {
    if (method !== 'POST' || path !== '/images/create') return false
    const line = (value: unknown) => response.write(`${JSON.stringify(value)}\n`)
    line({ status: 'Pulling from a/b', id: 'latest' })
    line({ status: 'Downloading', id: 'aaaaaaaaaaaa', progressDetail: { current: 3_000_000, total: 9_000_000 } })
    line({ status: 'Already exists', id: 'bbbbbbbbbbbb', progressDetail: {} })
    setTimeout(() => {
      response.write('{"status":"Downloading","id":"aaaaaaaaaaaa","progressDetail":')
      response.end('{"current":6000000,"total":9000000}}\r\n')
      daemon.images.set('registry.test:5000/a/b', 'sha256:b')
    }, 1100)
    return true
  }
  const instance = gateway.instance('s')
  // The stand-in has no routes for names with slashes.
  const inspect = (path: string) => path.startsWith('/images/registry.test')
  const pulling = daemon.misbehave
  daemon.misbehave = (call, response) => {
    if (!inspect(call.path)) return pulling(call, response)
    return daemon.images.has('registry.test:5000/a/b')
      ? json(response, 200, { Id: 'sha256:b' })
      : json(response, 404, { message: 'no' })
  }
  await instance.start()
  const [pull] = called(daemon, 'POST', /^\/images\/create$/)
  t.same(pull?.query, { fromImage: 'registry.test:5000/a/b', tag: 'latest' })
  t.match(pull?.headers['x-registry-auth'], /^(?:[\w-]{4})*(?:[\w-]{3}=|[\w-]{2}==)?$/, 'with padding, which daemons insist on')
  t.same(JSON.parse(Buffer.from(String(pull?.headers['x-registry-auth']), 'base64url').toString()), {
    username: 'u',
    password: 'p?>',
  })
  t.match(notes(gateway), ['pulling registry.test:5000/a/b', 'pulling registry.test:5000/a/b: 1 of 2 layers, 6 of 9 MB'])

  daemon.misbehave = () => false
  await instance.stop('manual')
  await gateway.change({ section: { image: 'img:1', pull: 'always' } })
  await instance.start()
  t.equal(called(daemon, 'POST', /^\/images\/create$/).length, 2)
  await instance.stop('manual')
  await gateway.change({ section: { image: 'none:2', pull: 'never' } })
  await t.rejects(instance.start(), { message: /has no image none:2, and docker\.pull is "never": docker pull none:2/ })
})

t.test('pulls that fail say why', async (t) => {
  const gateway = await world(t, { section: { image: 'none:2' } })
  const { daemon } = gateway
  const instance = gateway.instance('s')
  const fails = async (body: string, status: number, message: RegExp) => {
    daemon.misbehave = ({ path }, response) => {
      if (path !== '/images/create') return false
      response.writeHead(status, { 'content-type': 'application/json' })
      response.end(body)
      return true
    }
    await t.rejects(instance.start(), { message })
  }
  await fails(
    '{"message":"pull access denied for none"}',
    404,
    /image none:2 could not be pulled: pull access denied for none; is its name right/,
  )
  await fails('{"status":"x"}\n{"error":"no space left on device"}\n', 200, /could not be pulled: no space left on device/)
  await fails('{"status":"x"}\n{"status', 200, /stream of the pull of none:2 is broken: .* is no JSON/)
  await fails('{"status":"done"}\n', 200, /image none:2 was pulled, but .* has none of this name/)
  daemon.misbehave = ({ path }, response) => {
    if (path !== '/images/create') return false
    response.write('{"status":"x"}\n', () => response.destroy())
    return true
  }
  await t.rejects(instance.start(), { message: /broke the connection off during the pull of none:2/ })

  daemon.misbehave = ({ path }) => path === '/images/create'
  await gateway.change({ section: { image: 'none:2' }, service: { start: { timeout_ms: 200, cooldown_ms: 0 } } })
  await t.rejects(instance.start(), { message: /not ready within 200 ms/ }, 'a pull that hangs is bounded by the start')
})

t.test('each thing that can be wrong with a daemon is a sentence', async (t) => {
  const gateway = await world(t, { section: { container: 'web' } })
  const { daemon } = gateway
  const instance = gateway.instance('s')
  daemon.add('web')
  const fails = async (message: RegExp, misbehave: DockerStandIn['misbehave']) => {
    daemon.misbehave = misbehave
    await t.rejects(instance.start(), { message })
  }
  await fails(
    /container web could not be started: driver failed .* port is already allocated; stop what has the port/,
    ({ path }, response) =>
      path.endsWith('/start')
        ? json(response, 500, {
            message: 'driver failed programming external connectivity: Bind for 0.0.0.0:80 failed: port is already allocated',
          })
        : false,
  )
  await fails(/could not be started: OCI runtime create failed/, ({ path }, response) =>
    path.endsWith('/start')
      ? json(response, 400, { message: 'OCI runtime create failed: "nope": executable file not found' })
      : false,
  )
  await fails(/does not speak the Docker Engine API: it answered "<html>/, ({ path }, response) => {
    if (!path.endsWith('/json')) return false
    response.end('<html>')
    return true
  })
  await fails(/client version 1.41 is too old/, ({ version }, response) =>
    version ? json(response, 400, { message: 'client version 1.41 is too old. Minimum supported API version is 1.44' }) : false,
  )
  await fails(/broke the connection off during GET \/containers\/web\/json/, ({ path }, response) => {
    if (path !== '/containers/web/json') return false
    response.destroy()
    return true
  })
  await fails(/speaks version 1\.12 of the Engine API, and 1\.25 or newer is needed/, ({ path }, response) => {
    if (path !== '/_ping') return false
    response.writeHead(200, { 'api-version': '1.12' }).end('OK')
    return true
  })
  await fails(/does not speak the Docker Engine API: it answered 404 to GET \/_ping/, ({ path }, response) =>
    path === '/_ping' ? json(response, 404, {}) : false,
  )
  await fails(/wants TLS: set docker\.tls/, ({ path }, response) => {
    if (path !== '/_ping') return false
    response.writeHead(400).end('Client sent an HTTP request to an HTTPS server.\n')
    return true
  })
  daemon.apiVersion = '1.99'
  daemon.misbehave = () => false
  await instance.start()
  t.equal(called(daemon, 'POST', /start$/).at(-1)?.version, '1.51', 'no newer version than is known')
  await instance.stop('manual')
  await gateway.change({ section: { container: 'web', timeout_ms: 100 } })
  await fails(/did not answer GET \/containers\/web\/json within 100 ms/, ({ path }) => path === '/containers/web/json')
})

t.test('a daemon that is not there, or may not be used', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'hestia-test-docker-'))
  t.teardown(() => rmSync(dir, { recursive: true, force: true }))
  const opening = async (host: string, tls?: { ca_file: string }) => {
    const pools = new Map<string, Pool>()
    try {
      return await Engine.open(pools, { host, ...(tls ? { tls } : {}) }, 1000)
    } finally {
      for (const pool of pools.values()) await pool.destroy()
    }
  }
  await t.rejects(opening(`unix://${dir}/none.sock`), { message: /there is no Docker socket at unix:.*systemctl start docker/ })
  await t.rejects(opening(`tcp://127.0.0.1:${await deadPort()}`), { message: /no Docker daemon listens at tcp:/ })
  await t.rejects(opening('tcp://nowhere.invalid:2375'), {
    message: /cannot be reached \((ENOTFOUND|EAI_AGAIN)\)|did not answer/,
  })
  await t.rejects(opening(`tcp://127.0.0.1:1`, { ca_file: join(dir, 'none.pem') }), {
    message: /none\.pem of docker\.tls cannot be read/,
  })
  const noise = await rawUpstream(t, (socket) => socket.end('SSH-2.0-OpenSSH_9.2\r\n'))
  await t.rejects(opening(`tcp://127.0.0.1:${noise.port}`), { message: /does not speak HTTP/ })
  const silent = await rawUpstream(t, () => undefined)
  await t.rejects(opening(`tcp://127.0.0.1:${silent.port}`), { message: /did not answer GET \/_ping within 1000 ms/ })
  const socket = join(dir, 'closed.sock')
  const server = createServer().listen(socket)
  t.teardown(() => server.close())
  await once(server, 'listening')
  chmodSync(socket, 0)
  // Root may use any socket, so it is somebody else for a moment.
  const isRoot = process.getuid?.() === 0
  if (isRoot) process.seteuid?.(65_534)
  try {
    await t.rejects(opening(`unix://${socket}`), { message: /add its user to the group docker \(sudo usermod -aG docker/ })
  } finally {
    if (isRoot) process.seteuid?.(0)
  }
})

t.test('R10 a stop that fails is said, and leaves nothing waiting', async (t) => {
  const gateway = await world(t, { section: { container: 'web', timeout_ms: 150, stop_grace_ms: 0 } })
  const { daemon } = gateway
  daemon.add('web')
  const instance = gateway.instance('s')
  await instance.start()
  daemon.misbehave = ({ path }) => path.endsWith('/stop')
  await instance.stop('manual')
  t.equal(instance.state, 'cold')
  t.match(
    (await gateway.event('hook.failed')).error,
    /container web could not be stopped, and may run still: .* did not answer POST .* within 150 ms/,
  )
  daemon.misbehave = () => false
  await instance.start()
  daemon.containers.delete('web')
  await instance.stop('manual')
  t.equal(gateway.events.filter(({ type }) => type === 'hook.failed').length, 1, 'what is gone is stopped')
})

t.test('R5 a start that is not wanted any more is stopped after the daemon has answered', async (t) => {
  const gateway = await world(t, { section: { container: 'web' } })
  const { daemon } = gateway
  const web = daemon.add('web')
  const instance = gateway.instance('s')
  let answerStart: (() => void) | undefined
  daemon.misbehave = ({ path }, response) => {
    if (!path.endsWith('/start')) return false
    answerStart = () => {
      web.status = 'running'
      json(response, 204)
    }
    return true
  }
  const started = instance.start()
  started.catch(() => undefined)
  await until(() => answerStart, 'the start')
  const stopped = instance.stop('manual')
  answerStart?.()
  await stopped
  await t.rejects(started, { message: /given up/ })
  t.equal(web.status, 'exited')
  t.equal(daemon.listeners, 0)
})

t.test('R15 switched off, it stops what it started; a reload leaves it alone', async (t) => {
  const gateway = await world(t, { section: { container: 'web' } })
  const { daemon } = gateway
  const web = daemon.add('web')
  await gateway.instance('s').start()
  await gateway.change({ section: { container: 'web', log_lines: 7 } })
  t.equal(web.status, 'running')
  daemon.happens('web', 'die', { status: 'exited', exitCode: 1 })
  await gateway.event('instance.crashed')
  await until(() => gateway.instance('s').state === 'cold', 'it to be cold')
  await gateway.instance('s').start()
  await gateway.configure(
    JSON.stringify({ plugins: { defaults: false, api: {} }, services: { s: { base_url: 'http://127.0.0.1:9', warmup_ms: 0 } } }),
  )
  await until(() => web.status === 'exited', 'the stop')
  await until(() => daemon.listeners === 0, 'nobody to listen any more')
})

t.test('R17 wrong settings are refused with their place', async (t) => {
  const { daemon, ...gateway } = await world(t, { section: { container: 'web' } })
  const refused = async (setting: Setting, message: RegExp) => {
    const from = gateway.events.length
    await gateway.configure(configOf({ ...setting, options: { host: daemon.host, ...setting.options } }))
    const { problems } = await gateway.event('reload.rejected', () => true, from)
    t.match(problems.map((problem) => JSON.stringify(problem)).join(), message)
  }
  await refused({ section: {} }, /nothing says which container/)
  await refused({ section: { container: 'a', image: 'b' } }, /it has container and image; which one is meant/)
  await refused({ section: { image: 'b', ports: ['http'] } }, /a port as in/)
  await refused({ section: { image: 'b', volumes: ['data'] } }, /a volume as in/)
  await refused({ section: { image: 'b', gpus: 'some' } }, /\\"all\\", a number, or a list/)
  await refused({ section: { container: 'a' }, options: { host: 'ssh://box' } }, /unix:\/\/\/path\/of\/the\.sock or tcp/)
  await refused({ section: { container: 'a', tls: {} } }, /a Unix socket has no TLS/)
  await refused({ section: { container: 'a' }, service: { warmup_ms: undefined } }, /nothing says when it is ready/)
})

t.test('ports, images, specs and frames', async (t) => {
  const local = 'http://localhost:80'
  t.same(portsOf(['80', '8080:80/udp', '0.0.0.0:81:80', '[::1]:82:80'], local), {
    exposed: { '80/tcp': {}, '80/udp': {} },
    bindings: {
      '80/tcp': [
        { HostIp: '127.0.0.1', HostPort: '80' },
        { HostIp: '0.0.0.0', HostPort: '81' },
        { HostIp: '::1', HostPort: '82' },
      ],
      '80/udp': [{ HostIp: '127.0.0.1', HostPort: '8080' }],
    },
  })
  t.same(portsOf(['80:81'], 'http://box.lan:80').bindings, { '81/tcp': [{ HostIp: '', HostPort: '80' }] })
  t.same(reference('nginx'), { fromImage: 'nginx', tag: 'latest' })
  t.same(reference('a.b:5000/nginx'), { fromImage: 'a.b:5000/nginx', tag: 'latest' })
  t.same(reference('a.b:5000/nginx:1.2'), { fromImage: 'a.b:5000/nginx', tag: '1.2' })
  t.same(reference('nginx@sha256:abc'), { fromImage: 'nginx', tag: 'sha256:abc' })

  const instance = { name: 'box:80', url: local, service: { id: 's' } } as never
  const section = {
    image: 'i',
    env: {},
    ports: [],
    volumes: [],
    gpus: ['0', '1'],
    network: 'host',
    command: ['serve'],
    create: { User: '1000', HostConfig: { ShmSize: 5 }, Labels: { mine: 'x', 'hestia.service': 'stolen' } },
  } as never
  t.match(specFor(instance, section, 'id', '/'), {
    Image: 'i',
    Cmd: ['serve'],
    User: '1000',
    HostConfig: { ShmSize: 5, NetworkMode: 'host', DeviceRequests: [{ DeviceIDs: ['0', '1'], Capabilities: [['gpu']] }] },
    Labels: { mine: 'x', 'hestia.service': 's' },
  })
  t.same(specFor(instance, section, 'id', '/'), specFor(instance, section, 'id', '/'))

  const frame = (stream: number, text: string) => {
    const header = Buffer.alloc(8)
    header[0] = stream
    header.writeUInt32BE(Buffer.byteLength(text), 4)
    return Buffer.concat([header, Buffer.from(text)])
  }
  const bytes = Buffer.concat([frame(1, 'he'), frame(2, 'err\n'), frame(1, 'llo\n'), Buffer.from([1, 0])])
  t.same(
    frames(bytes).map(({ stream, bytes }) => [stream, bytes.toString()]),
    [
      ['stdout', 'hello\n'],
      ['stderr', 'err\n'],
    ],
  )
})

t.test('its log is shown with those of the others', async (t) => {
  const gateway = await world(t, { section: { container: 'web', log_lines: 2 } })
  const { daemon } = gateway
  const logs = async () => await (await fetch(`${gateway.url}/v1/services/s/logs?lines=5`)).json()
  t.match(await logs(), { instances: [{ name: 'default', lines: [] }] })
  daemon.add('web', { log: '2026-11-23T02:43:33.5Z one\n2026-11-23T02:43:34Z two\n2026-11-23T02:43:35Z three\n' })
  t.match(await logs(), {
    instances: [
      {
        lines: [
          { at: Date.parse('2026-11-23T02:43:34Z'), stream: 'stderr', line: 'two' },
          { stream: 'stderr', line: 'three' },
        ],
      },
    ],
  })
  t.match(called(daemon, 'GET', /logs$/), [{ query: { tail: '2' } }])
})

t.test('the example is a valid configuration', async (t) => {
  const config = readFileSync(new URL('../../examples/docker.yml', import.meta.url), 'utf8')
  const gateway = await startGateway(t, { config })
  t.equal(gateway.gateway.services.size, 3)
})

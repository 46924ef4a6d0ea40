import { once } from 'node:events'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { request } from 'undici'
import { WebSocket } from 'ws'
import { isAlive } from '../helpers/alive.ts'
import { freePort } from '../helpers/free-port.ts'
import { type RunningGateway, startGateway } from '../helpers/gateway.ts'
import { plainNode } from '../helpers/plain-node.ts'
import { until } from '../helpers/until.ts'
import { skip } from './installed.ts'

const HOST = 'nodered.test'
const PREFIX = '/services/nodered'

/** Node-RED reads this with `require`: nothing above the gateway's folder says that `.js` files are ES modules. */
const SETTINGS = `module.exports = {
  uiHost: process.env.HOST,
  uiPort: Number(process.env.PORT),
  userDir: __dirname,
  flowFile: 'flows.json',
  credentialSecret: false,
  telemetry: { enabled: false },
  editorTheme: { tours: false },
}
`

/** A node of a flow; without a place in the drawing Node-RED would take it for mere configuration. */
const node = (id: string, type: string, next: readonly string[], fields: object = {}) => ({
  id,
  type,
  z: 'tab',
  x: 100,
  y: 100,
  wires: [next],
  ...fields,
})

/**
 * `GET /login` answers with a redirect and a cookie, both for the root as Node-RED sees it; `POST /echo` with what it got;
 * the inject node, pressed by hand, has the debug node tell the editor.
 */
const FLOWS = [
  { id: 'tab', type: 'tab', label: 'Test' },
  node('login', 'http in', ['answer'], { url: '/login', method: 'get' }),
  node('answer', 'function', ['out'], {
    func: `msg.statusCode = 302
      msg.headers = { Location: '/hello?from=login' }
      msg.cookies = { session: { value: 'abc', path: '/' } }
      return msg`,
    outputs: 1,
  }),
  node('echo', 'http in', ['out'], { url: '/echo', method: 'post' }),
  node('out', 'http response', []),
  node('press', 'inject', ['tell'], { props: [{ p: 'payload', v: 'pressed', vt: 'str' }] }),
  node('tell', 'debug', [], { active: true, tosidebar: true, complete: 'payload' }),
]

async function setUp(t: Test, idleMs: number): Promise<RunningGateway & { pid(): number }> {
  const require = createRequire(join(import.meta.dirname, 'servers/package.json'))
  const running = await startGateway(t, {
    files: { 'nodered/settings.js': SETTINGS },
    config: JSON.stringify({
      plugins: { defaults: false, queue: { timeout_ms: 120_000 }, process: {}, health: {}, idle: {}, proxy: {} },
      services: {
        nodered: {
          base_url: `http://127.0.0.1:${await freePort()}`,
          hosts: [HOST],
          process: { command: plainNode(require.resolve('node-red/red.js'), '-s', 'nodered/settings.js') },
          health: { url: '/settings' },
          start: { timeout_ms: 120_000 },
          idle: { timeout_ms: idleMs },
        },
      },
    }),
  })
  return { ...running, pid: () => (running.instance('nodered').data.process as { pid: number }).pid }
}

const deploy = (base: string) =>
  fetch(`${base}/flows`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', 'Node-RED-Deployment-Type': 'full' },
    body: JSON.stringify(FLOWS),
  })

/** The editor's connection: what it is told, and what it asks for. */
function comms(t: Test, url: string, headers: Record<string, string> = {}) {
  const socket = new WebSocket(url, { headers })
  t.teardown(() => socket.terminate())
  const heard: { topic: string; data: unknown }[] = []
  socket.on('message', (data) => heard.push(...[JSON.parse((data as Buffer).toString())].flat()))
  return {
    socket,
    opened: once(socket, 'open'),
    subscribe: (topic: string) => socket.send(JSON.stringify({ subscribe: topic })),
    heard: (topic: string, match: (data: unknown) => boolean = () => true) =>
      until(() => heard.find((message) => message.topic === topic && match(message.data)), `a message on ${topic}`),
  }
}

/** What a browser would load for this page, as the page names it. */
const linksIn = (page: string) => [...page.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, link]) => link!)

t.test('Node-RED', { skip }, (t) => {
  t.test('R3 R5 the editor, its files and its API below a prefix, from cold', async (t) => {
    const { url, instance } = await setUp(t, 0)
    const base = `${url}${PREFIX}`
    t.equal(instance('nodered').state, 'cold')
    // Typed without the slash at the end, from which no relative link would lead anywhere.
    const page = await fetch(base)
    t.equal(page.status, 200)
    t.equal(page.url, `${base}/`)
    t.match(page.headers.get('content-type'), 'text/html')
    const links = linksIn(await page.text())
    t.ok(links.some((link) => link.includes('red.min.js')))
    for (const link of links) {
      const part = await fetch(new URL(link, page.url))
      t.equal(part.status, 200, link)
      t.ok((await part.arrayBuffer()).byteLength > 0)
    }

    t.match(await (await fetch(`${base}/settings`)).json(), { version: /^\d/ })
    t.equal((await deploy(base)).status, 204)
    t.same(await (await fetch(`${base}/flows`)).json(), FLOWS)

    const echoed = await until(async () => {
      const answer = await fetch(`${base}/echo`, { method: 'POST', body: new URLSearchParams({ one: '1', two: 'zw\u00f6lf' }) })
      return answer.ok ? answer : undefined
    }, 'the flow to run')
    t.same(await echoed.json(), { one: '1', two: 'zw\u00f6lf' })

    const login = await fetch(`${base}/login`, { redirect: 'manual' })
    t.equal(login.status, 302)
    t.equal(login.headers.get('location'), `${PREFIX}/hello?from=login`)
    t.match(login.headers.getSetCookie(), [`session=abc; Path=${PREFIX}/`])
  })

  t.test('R3 the same at the root of a host name of its own', async (t) => {
    const { url, port } = await setUp(t, 0)
    const headers = { host: `${HOST}:${port}` }
    const ask = (path: string) => request(`${url}${path}`, { headers })
    const page = await ask('/')
    t.equal(page.statusCode, 200)
    for (const link of linksIn(await page.body.text())) {
      const part = await ask(`/${link}`)
      t.equal(part.statusCode, 200, link)
      await part.body.dump()
    }
    t.equal((await deploy(`${url}${PREFIX}`)).status, 204, 'reached both ways')
    const login = await until(async () => {
      const answer = await ask('/login')
      await answer.body.dump()
      return answer.statusCode === 302 ? answer : undefined
    }, 'the flow to run')
    t.equal(login.headers.location, '/hello?from=login')
    t.match(login.headers['set-cookie'], 'session=abc; Path=/')

    const editor = comms(t, `ws://127.0.0.1:${port}/comms`, headers)
    await editor.opened
    editor.subscribe('debug')
    await request(`${url}/inject/press`, { method: 'POST', headers })
    await editor.heard('debug', (data) => (data as { msg?: string }).msg === 'pressed')
  })

  t.test('R2 R5 R9 R10 its WebSocket starts it, keeps it running, and lets it go', async (t) => {
    const idleMs = 500
    const { url, port, instance, event, events, pid } = await setUp(t, idleMs)
    const base = `${url}${PREFIX}`
    const editor = comms(t, `ws://127.0.0.1:${port}${PREFIX}/comms`)
    await editor.opened
    t.equal(instance('nodered').state, 'hot')
    const first = pid()
    editor.subscribe('notification/#')
    editor.subscribe('debug')
    t.equal((await deploy(base)).status, 204)
    await editor.heard('notification/runtime-deploy')

    t.equal((await fetch(`${base}/inject/press`, { method: 'POST' })).status, 200)
    await editor.heard('debug', (data) => (data as { msg?: string }).msg === 'pressed')
    // Longer than it may be idle: that nothing happens cannot be waited for.
    await new Promise((resolve) => setTimeout(resolve, 2 * idleMs))
    t.equal(instance('nodered').state, 'hot', 'an open editor keeps it up')
    t.equal(editor.socket.readyState, WebSocket.OPEN)

    editor.socket.close()
    await event('instance.stopped', ({ reason }) => reason === 'idle')
    t.notOk(isAlive(first), 'the process is gone')
    t.equal(instance('nodered').state, 'cold')
    t.notOk(events.some(({ type }) => type === 'instance.crashed' || type === 'hook.failed'))

    const again = comms(t, `ws://127.0.0.1:${port}${PREFIX}/comms`)
    await again.opened
    t.not(pid(), first)
    t.same(await (await fetch(`${base}/flows`)).json(), FLOWS, 'it comes back with what it had')
    const closed = once(again.socket, 'close')
    await instance('nodered').stop('manual')
    await closed
  })
  t.end()
})

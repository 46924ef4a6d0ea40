import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { request } from 'node:https'
import { join } from 'node:path'
import t from 'tap'
import { WebSocket, WebSocketServer } from 'ws'
import { freePort } from '../helpers/free-port.ts'
import { startGateway } from '../helpers/gateway.ts'
import { type Fence, fencesOf, ROOT } from '../helpers/markdown.ts'
import { until } from '../helpers/until.ts'
import { httpUpstream } from '../helpers/upstream.ts'

/** The one block of recipes in that language. */
function block(lang: string): Fence {
  const found = fencesOf('docs/recipes.md').filter((fence) => fence.lang === lang)
  if (found.length !== 1) throw new Error(`${found.length} blocks of ${lang} in docs/recipes.md`)
  return found[0]!
}

function missing(program: string, ...args: string[]): string | false {
  try {
    execFileSync(program, args, { stdio: 'ignore' })
    return false
  } catch {
    return `${program} is not here`
  }
}

t.test('the systemd unit of the recipes is one', { skip: missing('systemd-analyze', '--version') }, (t) => {
  const { text } = block('ini')
  const main = join(ROOT, 'bin', 'hestia.js')
  const unit = text.replace('/usr/bin/node /opt/hestia/bin/hestia.js', `${process.execPath} ${main}`)
  t.not(unit, text, 'it runs the command')
  /** What is said about a unit; some of it does not count as an error. */
  const verify = (text: string): string => {
    const file = join(t.testdir({ 'hestia.service': text }), 'hestia.service')
    return execFileSync('sh', ['-c', 'systemd-analyze verify --man=no "$0" 2>&1 || true', file], { encoding: 'utf8' })
  }
  t.equal(verify(unit), '')
  t.match(verify(unit.replace('KillMode=process', 'KillMode=sometimes')), /kill mode/, 'a mistake is noticed')
  t.end()
})

t.test('the Caddyfile of the recipes is valid', { skip: missing('caddy', 'version') }, (t) => {
  const dir = t.testdir({ Caddyfile: block('caddyfile').text })
  const env = { ...process.env, XDG_DATA_HOME: dir, XDG_CONFIG_HOME: dir }
  const validate = (file: string) => () =>
    execFileSync('caddy', ['validate', '--adapter', 'caddyfile', '--config', file], { env, stdio: 'pipe' })
  t.doesNotThrow(validate(join(dir, 'Caddyfile')))
  const broken = t.testdir({ Caddyfile: block('caddyfile').text.replace('reverse_proxy', 'reverse_proxi') })
  t.throws(validate(join(broken, 'Caddyfile')))
  t.end()
})

t.test(
  'R2 with nginx in front as in the recipes, TLS, events and WebSockets pass as they come',
  { skip: missing('nginx', '-v') },
  async (t) => {
    let goOn = (): void => undefined
    const upstream = await httpUpstream(t, ({ url }, response) => {
      if (url !== '/events') return response.end('ok')
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.write('data: 1\n\n')
      goOn = () => response.end('data: 2\n\n')
      return undefined
    })
    const sockets = new WebSocketServer({ server: upstream.server })
    sockets.on('connection', (socket) => socket.on('message', (message) => socket.send(`got ${String(message)}`)))
    const { port } = await startGateway(t, {
      config: `server: { trusted_hosts: [hestia.example.org] }\nservices: { a: { base_url: "${upstream.url}", warmup_ms: 0, hosts: [chat.example.org] } }\n`,
    })
    const front = await freePort()
    const certificates = join(ROOT, 'test', 'fixtures', 'semaphore')
    const server = block('nginx')
      .text.replace('listen 443 ssl', `listen 127.0.0.1:${front} ssl`)
      .replace('127.0.0.1:8080', `127.0.0.1:${port}`)
      .replace('/etc/ssl/hestia.pem', join(certificates, 'server.pem'))
      .replace('/etc/ssl/hestia.key', join(certificates, 'server.key'))
    const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path temp;`).join('\n')
    const dir = t.testdir({
      'nginx.conf': `daemon off;\nmaster_process off;\npid nginx.pid;\nerror_log stderr;\nevents {}\nhttp {\naccess_log off;\n${paths}\n${server}\n}\n`,
    })
    const nginx = spawn('nginx', ['-p', dir, '-c', 'nginx.conf'], { stdio: ['ignore', 'ignore', 'pipe'] })
    let said = ''
    nginx.stderr.on('data', (chunk) => (said += String(chunk)))
    const ended = once(nginx, 'close')
    t.teardown(async () => {
      nginx.kill('SIGTERM')
      await ended
      for (const client of sockets.clients) client.terminate()
    })

    const ask = async (path: string, host: string) => {
      const sent = request({ host: '127.0.0.1', port: front, path, headers: { host }, rejectUnauthorized: false, agent: false })
      sent.end()
      const [response] = (await once(sent, 'response')) as [import('node:http').IncomingMessage]
      return response.setEncoding('utf8')
    }
    const text = async (path: string, host: string): Promise<string> => {
      let body = ''
      for await (const chunk of await ask(path, host)) body += String(chunk)
      return body
    }
    await until(() => text('/__health', 'hestia.example.org').catch(() => ''), `nginx (${said})`)
    t.match(await text('/v1/services', 'hestia.example.org'), /"serviceId":"a"/, 'Host is passed on')
    t.equal(await text('/', 'chat.example.org'), 'ok', 'a service at the root of its own name')
    // The front door asks it for its models, too.
    t.match(upstream.seen.find(({ url }) => url === '/')!.headers, {
      'x-forwarded-proto': 'https',
      'x-forwarded-host': 'chat.example.org',
    })
    t.equal(await text('/services/a/x%2Fy', 'hestia.example.org'), 'ok')
    t.ok(
      upstream.seen.some(({ url }) => url === '/x%2Fy'),
      'paths as they were written',
    )

    const events = await ask('/services/a/events', 'hestia.example.org')
    const chunks: string[] = []
    events.on('data', (chunk) => chunks.push(String(chunk)))
    await until(() => chunks.join('').includes('data: 1'), 'the first event, while there is no second')
    goOn()
    await once(events, 'end')
    t.match(chunks.join(''), /data: 1\n\ndata: 2/)

    const socket = new WebSocket(`wss://127.0.0.1:${front}/services/a/ws`, {
      rejectUnauthorized: false,
      headers: { host: 'hestia.example.org' },
    })
    await once(socket, 'open')
    socket.send('hello')
    const [message] = (await once(socket, 'message')) as [Buffer]
    t.equal(String(message), 'got hello')
    socket.close()
    await once(socket, 'close')
  },
)

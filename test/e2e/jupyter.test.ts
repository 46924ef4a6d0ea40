import { execFileSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import t from 'tap'
import { WebSocket } from 'ws'
import { stringify } from 'yaml'
import { freePort } from '../helpers/free-port.ts'
import { startGateway } from '../helpers/gateway.ts'

const TOKEN = 'a-token-of-this-test'

/** Options before version 7 have other names; undefined where Jupyter isn't installed. */
function optionsOfJupyter(): { path: string; token: string } | undefined {
  try {
    const version = execFileSync('jupyter', ['notebook', '--version'], { encoding: 'utf8', stdio: 'pipe' })
    return Number.parseInt(version, 10) < 7
      ? { path: '--NotebookApp.base_url', token: '--NotebookApp.token' }
      : { path: '--ServerApp.base_url', token: '--IdentityProvider.token' }
  } catch {
    return undefined
  }
}

const names = optionsOfJupyter()

/** Asks a kernel to compute something, as a page does. */
const executeRequest = (code: string) => ({
  channel: 'shell',
  header: { msg_id: randomUUID(), username: '', session: randomUUID(), msg_type: 'execute_request', version: '5.3' },
  parent_header: {},
  metadata: {},
  content: { code, silent: false, store_history: false, user_expressions: {}, allow_stdin: false, stop_on_error: true },
  buffers: [],
})

t.test(
  'R2 R3 a notebook of Jupyter below its path, as in the recipes',
  { skip: names ? false : 'Jupyter is not here' },
  async (t) => {
    const port = await freePort()
    const jupyter = {
      base_url: `http://127.0.0.1:${port}/services/jupyter`,
      process: {
        command: [
          ...['jupyter', 'notebook', '--no-browser', '--allow-root', `--port=${port}`],
          ...[`${names!.path}=/services/jupyter/`, `${names!.token}=${TOKEN}`],
        ],
        env: { HOME: t.testdir() },
      },
      health: { url: '/api' },
      proxy: { host: 'client' },
      queue: { timeout_ms: 180_000 },
      start: { timeout_ms: 180_000 },
    }
    const { url } = await startGateway(t, { config: stringify({ services: { jupyter } }) })
    const base = `${url}/services/jupyter`
    const page = await fetch(`${base}/tree?token=${TOKEN}`)
    t.equal(page.status, 200, 'it starts, and its pages are found')
    t.match(await page.text(), '/services/jupyter/static/', 'they name their parts below the path')
    const cookie = page.headers
      .getSetCookie()
      .map((each) => each.split(';')[0])
      .join('; ')
    const made = await fetch(`${base}/api/kernels`, { method: 'POST', headers: { authorization: `token ${TOKEN}` } })
    const { id } = (await made.json()) as { id: string }

    // A browser that is logged in has a cookie and an origin, and no token.
    const socket = new WebSocket(`${base.replace('http', 'ws')}/api/kernels/${id}/channels`, { origin: url, headers: { cookie } })
    await once(socket, 'open')
    const answer = new Promise<string>((resolve) => {
      socket.on('message', (data) => {
        const { msg_type: type, content } = JSON.parse(String(data)) as {
          msg_type: string
          content: { data?: Record<string, string> }
        }
        if (type === 'execute_result') resolve(content.data?.['text/plain'] ?? '')
      })
    })
    socket.send(JSON.stringify(executeRequest('6 * 7')))
    t.equal(await answer, '42', 'a cell runs')
    socket.close()
    await once(socket, 'close')
  },
)

import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import type { MachineStatus } from '../../schemas/wake-on-lan.ts'
import { startGateway } from '../helpers/gateway.ts'
import { plainNode } from '../helpers/plain-node.ts'
import { until } from '../helpers/until.ts'

const SELF = fileURLToPath(import.meta.url)
const BOX = fileURLToPath(new URL('../fixtures/box.mjs', import.meta.url))
const SERVER = fileURLToPath(new URL('../fixtures/boot-server.mjs', import.meta.url))
const INSIDE = 'HESTIA_TEST_INSIDE'
const MAC = 'b4:2e:99:00:00:01'

type Test = Parameters<typeof startGateway>[0]

/** Runs a program to its end. @throws when it fails. */
const run = (program: string, ...args: string[]): string => execFileSync(program, args, { encoding: 'utf8' })

const lineOf = (child: ChildProcess, lines: string[], text: string) =>
  until(() => {
    if (child.exitCode !== null) throw new Error(`it ended with ${child.exitCode} after: ${lines.join()}`)
    return lines.includes(text)
  }, `the line "${text}"`)

interface Host {
  readonly pid: number
  /** Of the standard output of its one program. */
  readonly lines: string[]
  /** Command line that runs a program on it. */
  on(...command: string[]): string[]
  ip(...args: string[]): void
}

let hosts = 0

/** A computer of its own at the other end of a cable: a network namespace that lives as long as `command`. */
async function makeHost(t: Test, subnet: string, command: string[], env: Record<string, string> = {}): Promise<Host> {
  const cable = `gw${++hosts}`
  const child = spawn('unshare', ['-n', ...command], { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'inherit'] })
  t.teardown(() => child.kill('SIGKILL'))
  const lines: string[] = []
  createInterface(child.stdout).on('line', (line) => lines.push(line))
  await lineOf(child, lines, 'listening')
  const { pid } = child
  const on = (...program: string[]) => ['nsenter', '-t', String(pid), '-n', ...program]
  const ip = (...args: string[]) => run(...(on('ip', ...args) as [string]))
  run('ip', 'link', 'add', 'name', cable, 'type', 'veth', 'peer', 'name', 'box0', 'netns', String(pid))
  run('ip', 'addr', 'add', `${subnet}.1/24`, 'dev', cable)
  run('ip', 'link', 'set', cable, 'up')
  ip('link', 'set', 'box0', 'up')
  return { pid: pid!, lines, on, ip }
}

if (process.env[INSIDE]) {
  run('ip', 'link', 'set', 'lo', 'up')

  t.test('R19 a machine on a real network: packet, boot, start by command, answer; stop, sleep; and again', async (t) => {
    const box = await makeHost(t, '10.77.0', plainNode(BOX), { MAC, ADDRESS: '10.77.0.2', BOOT_MS: '300' })
    // Where broadcasts to everybody go.
    run('ip', 'route', 'add', 'default', 'dev', 'gw1')
    t.teardown(() => run('ip', 'route', 'del', 'default'))
    const pidFile = join(t.testdir({}), 'pid')
    const gateway = await startGateway(t, {
      config: `
machines:
  box:
    address: 10.77.0.2
    mac: "${MAC}"
    wake: { resend_ms: 200 }
    sleep: ${JSON.stringify(box.on('ip', 'addr', 'flush', 'dev', 'box0'))}
    sleep_after_ms: 100
plugins: { wake-on-lan: {} }
services:
  llm:
    base_url: http://10.77.0.2:8000
    machine: box
    command:
      start: ${JSON.stringify(`${box.on(...plainNode(SERVER)).join(' ')} > /dev/null 2>&1 & echo $! > ${pidFile}`)}
      stop: ${JSON.stringify(`kill $(cat ${pidFile})`)}
      env: { HOST: 10.77.0.2, PORT: 8000, BOOT_MS: 100 }
    health: { url: /health }
    idle: { timeout_ms: 300 }
`,
    })
    for (let round = 1; round <= 2; round++) {
      const from = gateway.events.length
      const beganAt = performance.now()
      const answer = await fetch(`${gateway.url}/services/llm/x`)
      t.equal(answer.status, 200)
      await answer.text()
      const steps = gateway.events.slice(from).flatMap((event) => (event.type === 'instance.step' ? [event] : []))
      t.same(
        steps.map(({ plugin }) => plugin),
        ['wake-on-lan', 'command', 'health'],
      )
      const shown = steps.map(({ plugin, durationMs }) => `${plugin} ${Math.round(durationMs)} ms`).join(', ')
      t.comment(`answered after ${Math.round(performance.now() - beganAt)} ms: ${shown}`)
      t.ok(steps[0]!.durationMs >= 300, 'its boot took that long')
      t.ok(box.lines.filter((line) => line === 'packet').length >= round, 'to 255.255.255.255, port 9')
      await gateway.event('machine.slept', () => true, from)
      t.equal(gateway.instance('llm').state, 'cold', 'the service first, then the machine')
    }
    const [machine] = (await (await fetch(`${gateway.url}/v1/machines`)).json()) as MachineStatus[]
    t.match(machine, { name: 'box', state: 'off', available: true, services: [{ service: 'llm', state: 'cold' }] })
  })

  t.test(
    'R13 a host disappears under an open connection: what is in flight gets its timeout, the rest goes elsewhere',
    async (t) => {
      const server = (number: number) =>
        makeHost(t, `10.78.${number}`, ['sh', '-c', 'echo listening; exec "$@"', 'sh', ...plainNode(SERVER)], {
          HOST: '0.0.0.0',
          PORT: '8000',
          BOOT_MS: '300',
          DELAY_MS: '1000',
        })
      const [a, b] = [await server(1), await server(2)]
      a.ip('addr', 'add', '10.78.1.2/24', 'dev', 'box0')
      b.ip('addr', 'add', '10.78.2.2/24', 'dev', 'box0')
      const gateway = await startGateway(t, {
        config: `
services:
  s:
    instances:
      - { name: a, url: "http://10.78.1.2:8000" }
      - { name: b, url: "http://10.78.2.2:8000" }
    health: { url: /health, interval_ms: 50, timeout_ms: 300 }
    start: { timeout_ms: 5000, cooldown_ms: 100 }
    proxy: { connect_timeout_ms: 500, first_byte_timeout_ms: 1500 }
`,
      })
      const ask = async (path: string) => {
        const beganAt = performance.now()
        const answer = await fetch(`${gateway.url}/services/s${path}`)
        const text = await answer.text()
        return { status: answer.status, text, ms: performance.now() - beganAt }
      }
      const pidOf = ({ text }: { text: string }) => (JSON.parse(text) as { pid: number }).pid
      await Promise.all([gateway.instance('s', 'a').start(), gateway.instance('s', 'b').start()])
      const both = new Set([pidOf(await ask('/x')), pidOf(await ask('/x'))])
      t.equal(both.size, 2, 'both serve')
      const slow = [ask('/slow'), ask('/slow')]
      await until(() => gateway.instance('s', 'a').inFlight === 1 && gateway.instance('s', 'b').inFlight === 1, 'one on each')
      a.ip('link', 'set', 'box0', 'down')
      const answers = await Promise.all(slow)
      t.same(answers.map(({ status }) => status).toSorted(), [200, 504], 'nobody waits for a host that is gone')
      const cut = answers.find(({ status }) => status === 504)!
      t.ok(cut.ms >= 1500 && cut.ms < 6000, `in its configured time: ${Math.round(cut.ms)} ms`)
      t.notOk(gateway.instance('s', 'a').healthy)
      for (let i = 0; i < 10; i++) {
        const answer = await ask('/x')
        t.equal(answer.status, 200)
        t.ok(answer.ms < 1500, 'at once')
      }
      a.ip('link', 'set', 'box0', 'up')
      const again = new Set<number>()
      await until(async () => again.add(pidOf(await ask('/x'))).size === 2, 'both to serve again')
      t.ok(gateway.instance('s', 'a').healthy, 'by itself')
    },
  )
} else {
  // Hosts and cables of its own, seen by nobody else: a user who may make namespaces needs no other right.
  const trial = spawnSync('unshare', ['-rn', 'ip', 'link', 'add', 'name', 'one', 'type', 'veth', 'peer', 'name', 'two'], {
    encoding: 'utf8',
  })
  const name = 'machines on a network of their own'
  if (trial.status === 0) {
    const args = ['-rn', process.execPath, ...process.execArgv, SELF]
    await t.spawn('unshare', args, { env: { ...process.env, [INSIDE]: '1' } }, name)
  } else {
    const why = trial.error?.message ?? trial.stderr.trim()
    t.test(name, { skip: `network namespaces are not permitted here (unshare -rn ip link add): ${why}` }, () => undefined)
  }
}

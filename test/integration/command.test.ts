import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import t, { type Test } from 'tap'
import { openSqlite } from '../../plugins/store/sqlite.ts'
import { isAlive } from '../helpers/alive.ts'
import { cleanEnv, startChildGateway } from '../helpers/child-gateway.ts'
import { DockerDaemon, dockerMissing, mountForbidden } from '../helpers/docker-daemon.ts'
import { freePort } from '../helpers/free-port.ts'
import { startGateway } from '../helpers/gateway.ts'
import { ask } from '../helpers/http.ts'
import { until } from '../helpers/until.ts'

const SERVER = resolve(import.meta.dirname, '../fixtures/boot-server.mjs')

const has = (program: string): boolean => spawnSync('sh', ['-c', `command -v ${program}`]).status === 0
const missing = (...programs: string[]): string | false => {
  const absent = programs.filter((program) => !has(program))
  return absent.length > 0
    ? `not installed: ${absent.join(', ')} (Debian: apt install systemd openssh-server docker-compose)`
    : false
}
const isRoot = process.getuid?.() === 0

function folder(t: Test): string {
  const made = mkdtempSync(join(tmpdir(), 'hestia-test-command-'))
  t.teardown(() => rmSync(made, { recursive: true, force: true }))
  return made
}

/** A whole life of a service that is brought up and down by `command`: asked for, used, idle. `isUp` tells from outside. */
async function lives(t: Test, port: number, command: Record<string, unknown>, isUp: () => boolean, path = '/'): Promise<void> {
  const gateway = await startGateway(t, {
    config: JSON.stringify({
      services: {
        web: {
          base_url: `http://127.0.0.1:${port}`,
          command,
          health: { tcp: true },
          start: { timeout_ms: 30_000 },
          idle: { timeout_ms: 300 },
        },
      },
    }),
  })
  t.equal(isUp(), false, 'it does not run')
  const answers = await Promise.all(Array.from({ length: 5 }, () => ask(`${gateway.url}/services/web${path}`)))
  t.same(
    answers.map(({ status }) => status),
    [200, 200, 200, 200, 200],
    'those who came while it was cold are answered',
  )
  t.equal(isUp(), true, 'it runs')
  await gateway.event('instance.stopped', ({ reason }) => reason === 'idle')
  t.equal(isUp(), false, 'it was stopped')
  t.equal((await ask(`${gateway.url}/services/web${path}`)).status, 200, 'and comes back')

  await gateway.instance('web').stop('manual')
  t.equal(isUp(), false)
  t.notOk(gateway.events.some(({ type }) => type === 'hook.failed'))
}

/** A `systemd --user` of its own, in its own mounts and its own control group; answers how to get at it. */
async function userManager(t: Test, units: string): Promise<string[]> {
  const name = `hestia-test-${process.pid}`
  const script = `
    set -e
    mount -t tmpfs tmpfs /run
    mkdir -p /run/systemd/system /run/user/0 /run/cgroup
    mount -t cgroup2 none /run/cgroup
    mkdir -p /run/cgroup/${name}
    echo $$ > /run/cgroup/${name}/cgroup.procs
    export XDG_RUNTIME_DIR=/run/user/0 SYSTEMD_UNIT_PATH=${units}:
    exec unshare -C sh -c 'mount -t cgroup2 none /sys/fs/cgroup; exec /lib/systemd/systemd --user --log-target=console'
  `
  const manager = spawn('unshare', ['-m', 'sh', '-c', script], { env: cleanEnv(), stdio: ['ignore', 'pipe', 'pipe'] })
  let said = ''
  for (const stream of [manager.stdout, manager.stderr]) stream.on('data', (chunk) => (said += String(chunk)))
  t.teardown(async () => {
    await end(manager)
    const sweep = `mount -t cgroup2 none /mnt && find /mnt/${name} -depth -type d -exec rmdir {} +`
    spawnSync('unshare', ['-m', 'sh', '-c', sweep])
  })
  const enter = ['nsenter', '-t', String(manager.pid), '-m', 'env', 'XDG_RUNTIME_DIR=/run/user/0', 'systemctl', '--user']
  await until(() => {
    if (manager.exitCode !== null) throw new Error(`systemd --user ended: ${said}`)
    return spawnSync(enter[0]!, [...enter.slice(1), 'list-units']).status === 0
  }, 'systemd --user')
  return enter
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = once(child, 'exit')
  child.kill('SIGTERM')
  const killing = setTimeout(() => child.kill('SIGKILL'), 5000)
  await gone
  clearTimeout(killing)
}

t.test('R19 recipe: systemctl', { skip: missing('systemctl', 'unshare', 'nsenter') || mountForbidden() }, async (t) => {
  const units = folder(t)
  const port = await freePort()
  writeFileSync(
    join(units, 'web.service'),
    `[Service]\nEnvironment=PORT=${port} HOST=127.0.0.1\nExecStart=${process.execPath} ${SERVER}\n`,
  )
  const systemctl = await userManager(t, units)
  const isUp = () => spawnSync(systemctl[0]!, [...systemctl.slice(1), 'is-active', 'web.service']).status === 0
  await lives(
    t,
    port,
    {
      start: [...systemctl, 'start', 'web.service'],
      stop: [...systemctl, 'stop', 'web.service'],
      status: [...systemctl, 'is-active', '--quiet', 'web.service'],
    },
    isUp,
  )

  const gateway = await startGateway(t, {
    config: JSON.stringify({
      services: {
        no: { base_url: 'http://127.0.0.1:9', warmup_ms: 0, command: { start: [...systemctl, 'start', 'nosuch.service'] } },
      },
    }),
  })
  const answer = await ask(`${gateway.url}/services/no/`)
  t.equal(answer.status, 503)
  t.match(answer.text, /exited with code 5; its last lines: .*nosuch\.service not found/)
})

t.test('R19 recipe: ssh', { skip: missing('ssh', 'ssh-keygen', '/usr/sbin/sshd') }, async (t) => {
  const home = folder(t)
  const [port, sshPort] = [await freePort(), await freePort()]
  const keygen = (name: string) => execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(home, name)])
  for (const name of ['host', 'user', 'stranger']) keygen(name)
  const publicKey = readFileSync(join(home, 'host.pub'), 'utf8')
  writeFileSync(join(home, 'known_hosts'), `[127.0.0.1]:${sshPort} ${publicKey}`)
  writeFileSync(join(home, 'authorized_keys'), readFileSync(join(home, 'user.pub')))
  chmodSync(join(home, 'authorized_keys'), 0o600)
  writeFileSync(
    join(home, 'sshd_config'),
    [
      `ListenAddress 127.0.0.1:${sshPort}`,
      `HostKey ${home}/host`,
      `AuthorizedKeysFile ${home}/authorized_keys`,
      'PidFile none',
      'StrictModes no',
      'UsePAM no',
      'PasswordAuthentication no',
      'PermitRootLogin yes',
    ].join('\n'),
  )
  // Where sshd wants to lock itself in; a started system has it.
  if (isRoot && !existsSync('/run/sshd')) mkdirSync('/run/sshd', { mode: 0o755 })
  const sshd = spawn('/usr/sbin/sshd', ['-D', '-e', '-f', join(home, 'sshd_config')], { stdio: ['ignore', 'ignore', 'pipe'] })
  t.teardown(() => end(sshd))
  let said = ''
  sshd.stderr.on('data', (chunk) => (said += String(chunk)))
  await until(() => {
    if (sshd.exitCode !== null) throw new Error(`sshd ended: ${said}`)
    return said.includes('Server listening')
  }, 'sshd')
  const ssh = (key: string) => [
    ...['ssh', '-F', 'none', '-p', String(sshPort), '-i', join(home, key)],
    ...['-o', `UserKnownHostsFile=${home}/known_hosts`, '-o', 'IdentitiesOnly=yes', '-o', 'BatchMode=yes', '127.0.0.1'],
  ]
  const remote = {
    start: `cd ${home}; PORT=${port} HOST=127.0.0.1 nohup ${process.execPath} ${SERVER} > server.log 2>&1 & echo $! > ${home}/pid`,
    stop: `kill $(cat ${home}/pid); while kill -0 $(cat ${home}/pid); do sleep 0.05; done; rm ${home}/pid`,
    status: `kill -0 $(cat ${home}/pid)`,
  }
  const isUp = () => spawnSync('sh', ['-c', remote.status]).status === 0
  await lives(
    t,
    port,
    { start: [...ssh('user'), remote.start], stop: [...ssh('user'), remote.stop], status: [...ssh('user'), remote.status] },
    isUp,
  )

  const refused = async (start: string[], message: RegExp) => {
    const gateway = await startGateway(t, {
      config: JSON.stringify({ services: { no: { base_url: 'http://127.0.0.1:9', warmup_ms: 0, command: { start } } } }),
    })
    const answer = await ask(`${gateway.url}/services/no/`)
    t.equal(answer.status, 503)
    t.match(answer.text, message)
  }
  await refused([...ssh('stranger'), 'true'], /exited with code 255; its last lines: .*Permission denied \(publickey/)
  await end(sshd)
  await refused([...ssh('user'), 'true'], /exited with code 255; its last lines: .*Connection refused/)
})

t.test('R19 recipe: docker compose', { skip: dockerMissing() || missing('docker-compose') }, async (t) => {
  const daemon = await DockerDaemon.start(t)
  const project = folder(t)
  const port = await freePort()
  writeFileSync(
    join(project, 'docker-compose.yml'),
    `
version: '3'
services:
  web:
    image: ${daemon.image}
    network_mode: host
    stop_grace_period: 1s
    command: [/bin/busybox, httpd, -f, -p, '127.0.0.1:${port}', -h, /www]
`,
  )
  const env = { DOCKER_HOST: daemon.host }
  const isUp = () => daemon.docker('ps', '-q').trim() !== ''
  await lives(
    t,
    port,
    {
      start: ['docker-compose', 'up', '-d', '--no-build'],
      stop: ['docker-compose', 'stop'],
      status: 'docker-compose ps --services --filter status=running | grep -qx web',
      cwd: project,
      env,
    },
    isUp,
    '/index.html',
  )
})

t.test('R18 a gateway that was killed: the next one goes on with what runs, and can stop it', async (t) => {
  const home = folder(t)
  const port = await freePort()
  const config = {
    server: { port: 0 },
    log: { format: 'json' },
    services: {
      web: {
        base_url: `http://127.0.0.1:${port}`,
        health: { tcp: true },
        command: {
          start: `echo start >> said; PORT=$HESTIA_PORT HOST=127.0.0.1 nohup ${process.execPath} ${SERVER} > log 2>&1 & echo $! > pid`,
          stop: 'echo stop >> said; kill $(cat pid)',
          status: 'kill -0 $(cat pid)',
        },
      },
    },
  }
  writeFileSync(join(home, 'hestia_config.yml'), JSON.stringify(config))
  const first = await startChildGateway(t, join(home, 'hestia_config.yml'))
  const { pid } = JSON.parse((await ask(`${first.url}/services/web/`)).text) as { pid: number }
  t.teardown(() => isAlive(pid) && process.kill(pid, 'SIGKILL'))
  // What is to be remembered is written in the background.
  const remembers = async (url: string, kind: string) => (await ask(`${url}/v1/activities?service=web`)).text.includes(kind)
  await until(() => remembers(first.url, 'instance.ready'), 'the start to be written down')
  await first.end('SIGKILL')

  const second = await startChildGateway(t, join(home, 'hestia_config.yml'))
  await until(() => second.lines.some(({ type }) => type === 'instance.adopted'), 'it to be adopted')
  t.equal((JSON.parse((await ask(`${second.url}/services/web/`)).text) as { pid: number }).pid, pid, 'the same process')
  t.equal(readFileSync(join(home, 'said'), 'utf8'), 'start\n', 'not started twice')
  await until(() => remembers(second.url, 'instance.adopted'), 'that to be written down')
  await second.end('SIGKILL')
  writeFileSync(join(home, 'hestia_config.yml'), JSON.stringify({ ...config, services: {} }))
  const third = await startChildGateway(t, join(home, 'hestia_config.yml'))
  await until(() => !isAlive(pid), 'what is not configured any more to be stopped')
  t.equal(readFileSync(join(home, 'said'), 'utf8'), 'start\nstop\n')
  await third.end('SIGTERM')
})

t.test(
  'R18 a gateway that is killed while a start command runs: the next one ends that before it stops the service',
  async (t) => {
    const home = folder(t)
    const port = await freePort()
    const start = 'trap "echo ended >> said; exit" TERM; echo start >> said; echo $$ > starter; sleep 60 & wait; echo up >> said'
    const service = {
      base_url: `http://127.0.0.1:${port}`,
      health: { tcp: true },
      command: { start, stop: 'echo stop >> said' },
    }
    const config = { server: { port: 0 }, log: { format: 'json' }, services: { web: service } }
    writeFileSync(join(home, 'hestia_config.yml'), JSON.stringify(config))
    const first = await startChildGateway(t, join(home, 'hestia_config.yml'))
    const left = ask(`${first.url}/services/web/`).catch(() => undefined)
    const database = await openSqlite(join(home, 'hestia.sqlite'))
    const written = async () => JSON.stringify(await database.all('SELECT * FROM instance_states'))
    await until(async () => (await written()).includes('cookie'), 'the start command to be written down')
    await database.close()
    const starter = Number(readFileSync(join(home, 'starter'), 'utf8'))
    t.teardown(() => isAlive(starter) && process.kill(-starter, 'SIGKILL'))
    await first.end('SIGKILL')
    await left
    t.ok(isAlive(starter), 'it outlives its gateway')

    const second = await startChildGateway(t, join(home, 'hestia_config.yml'))
    await until(() => second.lines.some(({ type }) => type === 'instance.not_adopted'), 'it to be looked at')
    await until(() => readFileSync(join(home, 'said'), 'utf8').includes('stop'), 'its stop command')
    t.notOk(isAlive(starter))
    t.equal(readFileSync(join(home, 'said'), 'utf8'), 'start\nended\nstop\n')
    await second.end('SIGTERM')
  },
)

import { spawnSync } from 'node:child_process'
import { cpSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { parse, stringify } from 'yaml'
import { cleanEnv } from '../helpers/child-gateway.ts'
import { DockerDaemon, dockerMissing } from '../helpers/docker-daemon.ts'
import { freePort } from '../helpers/free-port.ts'
import { ask } from '../helpers/http.ts'
import { until } from '../helpers/until.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const EXAMPLE = join(ROOT, 'examples/semaphore')
const hasCompose = spawnSync('sh', ['-c', 'command -v docker-compose']).status === 0
const skip = hasCompose ? false : 'not installed: docker-compose (Debian: apt install docker-compose)'

interface ComposeService {
  image: string
  build?: string
  command?: string[]
  working_dir?: string
  environment: Record<string, string>
  ports: string[]
  volumes: string[]
}

const compose = (dir: string, env: Record<string, string>, ...args: string[]) =>
  spawnSync('docker-compose', args, { cwd: dir, encoding: 'utf8', env: cleanEnv(env) })

t.test('R31 examples/semaphore: Compose takes it, and says what has to be set', { skip }, (t) => {
  const dir = t.testdir({})
  cpSync(EXAMPLE, dir, { recursive: true })
  const bare = compose(dir, {}, 'config')
  t.not(bare.status, 0)
  t.match(bare.stderr, /set it in \.env/)
  writeFileSync(join(dir, '.env'), 'SEMAPHORE_ADMIN_PASSWORD=secret\nSEMAPHORE_ENCRYPTION_KEY=key\nSEMAPHORE_TOKEN=token\n')
  const { status, stdout, stderr } = compose(dir, {}, 'config')
  t.equal(status, 0, stderr)
  const { services, volumes } = parse(stdout) as { services: Record<string, ComposeService>; volumes: object }
  t.same(Object.keys(volumes).toSorted(), ['hestia_sqlite', 'semaphore_data'])
  t.match(services, {
    hestia: { environment: { SEMAPHORE_TOKEN: 'token', SEMAPHORE_URL: 'http://semaphore:3000' } },
    semaphore: { environment: { SEMAPHORE_ADMIN_PASSWORD: 'secret', SEMAPHORE_ACCESS_KEY_ENCRYPTION: 'key' } },
  })
  t.end()
})

t.test(
  'R31 R19 the compose file side by side: a request starts the service by a task, over the network of the project',
  {
    skip: skip || dockerMissing(),
  },
  async (t) => {
    const daemon = await DockerDaemon.start(t)
    const dir = t.testdir({})
    cpSync(EXAMPLE, dir, { recursive: true })
    writeFileSync(join(dir, '.env'), 'SEMAPHORE_ADMIN_PASSWORD=secret\nSEMAPHORE_ENCRYPTION_KEY=key\nSEMAPHORE_TOKEN=of-hestia\n')
    const project = parse(readFileSync(join(dir, 'compose.yaml'), 'utf8')) as { services: Record<string, ComposeService> }
    const { hestia, semaphore } = project.services as { hestia: ComposeService; semaphore: ComposeService }
    const port = await freePort()
    // No image can be had from outside: both are this computer's own files, and Semaphore is its double. All else is as it stands there.
    const own = [...new Set(['/usr', '/lib', '/lib64', dirname(dirname(process.execPath)), ROOT])]
    for (const service of [hestia, semaphore]) {
      daemon.docker('tag', daemon.image, service.image)
      service.volumes.push(...own.map((path) => `${path}:${path}:ro`))
      service.working_dir = ROOT
    }
    delete hestia.build
    hestia.command = [process.execPath, join(ROOT, 'bin/hestia.js')]
    hestia.ports = [`127.0.0.1:${port}:8080`]
    semaphore.command = [process.execPath, '--import', 'tsx', join(ROOT, 'test/fixtures/semaphore-in-container.ts')]
    semaphore.environment.TOKEN = 'of-hestia'
    semaphore.ports = []
    writeFileSync(join(dir, 'compose.yaml'), stringify(project))
    const file = join(dir, 'config/hestia_config.yml')
    writeFileSync(file, readFileSync(file, 'utf8').replace('http://192.168.1.10:8096', 'http://semaphore:8096'))

    const env = { DOCKER_HOST: daemon.host }
    const up = compose(dir, env, 'up', '-d')
    t.teardown(() => compose(dir, env, 'down', '--volumes', '--timeout', '1'))
    t.equal(up.status, 0, up.stderr)
    const said = () => compose(dir, env, 'logs', '--no-color').stdout
    await until(
      async () => (await ask(`http://127.0.0.1:${port}/__ready`).catch(() => undefined))?.status === 200,
      'Hestia in its container',
      60_000,
    ).catch((error: unknown) => t.fail(`${String(error)}\n${said()}`))
    await until(() => said().includes('Semaphore listens'), 'Semaphore in its container')
    const { status, text } = await ask(`http://127.0.0.1:${port}/services/jellyfin/System/Info/Public`)
    t.same([status, text], [200, 'jellyfin at /System/Info/Public'], said())
    const shown = JSON.parse((await ask(`http://127.0.0.1:${port}/v1/services/jellyfin/status`)).text) as { automation: unknown }
    t.match(shown, { state: 'hot', automation: { enabled: true, provider: 'semaphore', machine_id: 'nas1' } })
    t.match(said(), '{"hestia_service":"jellyfin","hestia_action":"start","hestia_host":"nas1"}')
    t.match(daemon.docker('volume', 'ls', '-q'), /hestia_sqlite\n.*semaphore_data/s)
    const remembered = () => daemon.docker('run', '--rm', '-v', `${volume}:/data`, daemon.image, '/bin/busybox', 'ls', '/data')
    const volume = daemon
      .docker('volume', 'ls', '-q')
      .split('\n')
      .find((name) => name.endsWith('hestia_sqlite'))
    t.match(remembered(), 'hestia.sqlite', 'what is remembered is in the volume')
    t.equal((await ask(`http://127.0.0.1:${port}/v1/services/jellyfin/stop`, { method: 'POST' })).status, 202)
    await until(() => said().includes('"hestia_action":"stop"'), 'the stop task')
  },
)

import { execFileSync } from 'node:child_process'
import { chownSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { hasDebootstrap, makeDebianWithNode } from '../helpers/debian-node.ts'
import { DockerDaemon, dockerMissing } from '../helpers/docker-daemon.ts'
import { dockerfileStages } from '../helpers/dockerfile.ts'
import { freePort } from '../helpers/free-port.ts'
import { OWNER } from '../helpers/image-tree.ts'
import { useImage, writeConfig } from '../helpers/image-use.ts'
import { until } from '../helpers/until.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
// Everything from Debian's packages to a container that runs.
t.setTimeout(1_200_000)

const asked = process.env.HESTIA_TEST_E2E === '1' ? false : 'takes minutes: HESTIA_TEST_E2E=1 runs it'
// Each step is a layer, which `vfs` would copy whole.
const STORAGE = ['--storage-driver=overlay2']
const missing = asked || dockerMissing()
const { image: base } = dockerfileStages()[0]!
const daemon = missing ? undefined : await DockerDaemon.start(t, STORAGE)
const isPulled = daemon !== undefined && pulled(daemon, base)
const skip =
  missing ||
  (!isPulled && !hasDebootstrap() && `${base} cannot be pulled, and there is no debootstrap to make what stands in for it`)

t.test('R31 docker build makes an image that does what it says', { skip, timeout: 1_200_000 }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'hestia-image-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  if (!isPulled) {
    const root = join(folder, 'base')
    mkdirSync(root)
    makeDebianWithNode(root)
    const archive = join(folder, 'base.tar')
    execFileSync('tar', ['-C', root, '-cf', archive, '.'])
    daemon!.docker('import', archive, base)
  }
  const docker = (...args: string[]) => daemon!.docker(...args)
  docker('build', '--network=host', '-t', 'hestia', ROOT)

  const config = join(folder, 'config')
  const port = await freePort()
  const demo = {
    base_url: `http://127.0.0.1:${await freePort()}`,
    process: { command: ['node', '/hestia/examples/demo-service.mjs'] },
    health: { url: '/health' },
  }
  writeConfig(config, { demo })
  for (const name of ['', 'plugins', 'strategies', 'hestia_config.yml']) chownSync(join(config, name), OWNER, OWNER)
  const env = ['-e', 'HESTIA_SERVER_HOST=127.0.0.1', '-e', `HESTIA_SERVER_PORT=${port}`]
  const id = docker('run', '-d', '--network=host', '-v', `${config}:/config`, ...env, 'hestia').trim()
  t.teardown(() => docker('rm', '-f', id))
  const url = `http://127.0.0.1:${port}`
  await until(async () => (await fetch(`${url}/__ready`).catch(() => undefined))?.status === 200, 'the gateway', 60_000)
  await useImage(t, url, config)
  t.equal(docker('exec', id, 'id', '-un').trim(), 'node')
  t.match(docker('exec', id, 'hestia', 'status'), /^demo +hot/m)
  const health = () => docker('inspect', '-f', '{{.State.Health.Status}}', id).trim()
  await until(() => health() === 'healthy', 'the health check', 60_000)
  docker('stop', '-t', '30', id)
  t.equal(docker('inspect', '-f', '{{.State.ExitCode}}', id).trim(), '0')
})

function pulled(daemon: DockerDaemon, image: string): boolean {
  try {
    daemon.docker('pull', image)
    return true
  } catch {
    return false
  }
}

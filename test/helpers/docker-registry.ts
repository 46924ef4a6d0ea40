import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pipeline, Transform } from 'node:stream'
import { dockerMissing } from './docker-daemon.ts'
import { freePort } from './free-port.ts'
import { until } from './until.ts'

type Teardown = { teardown(fn: () => unknown): void }

/** Who may use a registry with a password. */
export const READER = { username: 'reader', password: 'pass word?>' } as const
/** Its line in a password file, as `htpasswd -B` writes it. */
const PASSWORD_FILE = 'reader:$2y$05$4ca8foB3FKaZEN0RYLqqAe5rlsz8ZCWU.M8FXkbPFloUfzqhb0PEu\n'

/** Why no registry can be run here; false when one can. */
export function registryMissing(): string | false {
  if (dockerMissing()) return dockerMissing()
  const isThere = spawnSync('sh', ['-c', 'command -v docker-registry']).status === 0
  return isThere ? false : 'not installed: docker-registry (Debian: apt install docker-registry)'
}

/** A real registry on a port of the loopback interface; daemons speak HTTP with such without being told. */
export async function startRegistry(t: Teardown, { password = false } = {}): Promise<string> {
  const dir = mkdtempSync(join(tmpdir(), 'hestia-registry-'))
  const address = `127.0.0.1:${await freePort()}`
  const passwords = join(dir, 'passwords')
  writeFileSync(passwords, PASSWORD_FILE)
  const config = {
    version: '0.1',
    log: { level: 'warn' },
    storage: { filesystem: { rootdirectory: join(dir, 'data') } },
    http: { addr: address },
    ...(password ? { auth: { htpasswd: { realm: 'test', path: passwords } } } : {}),
  }
  writeFileSync(join(dir, 'config.yml'), JSON.stringify(config))
  const child = spawn('docker-registry', ['serve', join(dir, 'config.yml')], { stdio: ['ignore', 'ignore', 'pipe'] })
  let said = ''
  child.stderr.on('data', (chunk) => (said += String(chunk)))
  t.teardown(async () => {
    if (child.exitCode === null) {
      child.kill('SIGTERM')
      await once(child, 'exit')
    }
    rmSync(dir, { recursive: true, force: true })
  })
  await until(async () => {
    if (child.exitCode !== null) throw new Error(`docker-registry ended: ${said}`)
    return fetch(`http://${address}/v2/`).then(
      () => true,
      () => false,
    )
  }, 'the registry')
  return address
}

/** The same registry at the end of a thin line: what is fetched comes at so many bytes a second. */
export async function throttled(t: Teardown, address: string, bytesPerSecond: number): Promise<string> {
  const server = createServer(({ method, url, headers }, response) => {
    const slow = new Transform({
      transform(chunk: Buffer, _encoding, done) {
        setTimeout(() => done(null, chunk), (chunk.length / bytesPerSecond) * 1000)
      },
    })
    request(`http://${address}${url}`, { method, headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers)
      pipeline(answer, slow, response, () => undefined)
    }).end()
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return `127.0.0.1:${(server.address() as AddressInfo).port}`
}

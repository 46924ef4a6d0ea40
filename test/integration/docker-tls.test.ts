import { copyFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { Authority, opensslMissing } from '../helpers/certificates.ts'
import { DockerDaemon, dockerMissing } from '../helpers/docker-daemon.ts'
import { freePort } from '../helpers/free-port.ts'
import { startGateway } from '../helpers/gateway.ts'
import { ask } from '../helpers/http.ts'

t.test('R19 a daemon on TCP that wants certificates', { skip: dockerMissing() || opensslMissing() }, async (t) => {
  const dir = t.testdir({})
  const authority = new Authority(dir)
  const stranger = new Authority(dir, 'stranger')
  const server = authority.sign('server', 'serverAuth')
  const tcp = `127.0.0.1:${await freePort()}`
  const daemon = await DockerDaemon.start(t, [
    ...['-H', `tcp://${tcp}`, '--tlsverify'],
    ...['--tlscacert', authority.ca, '--tlscert', server.cert, '--tlskey', server.key],
  ])
  const port = await freePort()
  const files = { ca_file: 'certs/ca.pem', cert_file: 'certs/cert.pem', key_file: 'certs/key.pem' }
  const config = (tls: Record<string, string> | undefined) =>
    JSON.stringify({
      plugins: { docker: { host: `tcp://${tcp}`, stop_grace_ms: 1000, ...(tls ? { tls } : {}) } },
      services: {
        web: {
          base_url: `http://127.0.0.1:${port}`,
          health: { tcp: true },
          start: { timeout_ms: 30_000, cooldown_ms: 0 },
          docker: {
            image: daemon.image,
            network: 'host',
            command: ['/bin/busybox', 'httpd', '-f', '-p', `127.0.0.1:${port}`, '-h', '/www'],
          },
        },
      },
    })
  const gateway = await startGateway(t, { config: config(undefined) })
  await gateway.write('certs/none', '')
  const put = (from: string, name: string) => copyFileSync(from, join(gateway.dir, 'certs', name))
  const fails = async (message: RegExp, about: string) => {
    const { status, text } = await ask(`${gateway.url}/services/web/`)
    t.match([status, text], [503, message], about)
  }
  const use = async (tls: Record<string, string> | undefined) => {
    await gateway.configure(config(tls))
    await gateway.gateway.reload()
  }
  await fails(/the Docker daemon at tcp:.* wants TLS: set docker\.tls/, 'without TLS')
  await use(files)
  await fails(/certs\/ca\.pem of docker\.tls cannot be read: ENOENT/, 'no such file')
  const [theirs, ours] = [stranger.sign('hestia', 'clientAuth'), authority.sign('hestia', 'clientAuth')]
  put(theirs.cert, 'cert.pem')
  put(theirs.key, 'key.pem')
  put(stranger.ca, 'ca.pem')
  await fails(/certificate of the Docker daemon at tcp:.* is not trusted \(.*\): .*docker\.tls\.ca_file/, 'another authority')
  put(authority.ca, 'ca.pem')
  await fails(/does not take the certificate of the gateway .*docker\.tls\.cert_file/, 'signed by somebody else')
  await use({ ca_file: files.ca_file })
  await fails(/does not take the certificate of the gateway .*docker\.tls\.cert_file/, 'none at all')
  await use(files)
  await fails(/does not take the certificate/, 'still the wrong one')

  put(ours.cert, 'cert.pem')
  put(ours.key, 'key.pem')
  t.match(await ask(`${gateway.url}/services/web/index.html`), { status: 200, text: 'from a container\n' }, 'renewed files count')
  const lines = JSON.parse((await ask(`${gateway.url}/v1/services/web/logs`)).text) as { instances: unknown[] }
  t.equal(lines.instances.length, 1)
  t.equal(gateway.instance('web').state, 'hot')
  daemon.docker('kill', 'hestia-web-default')
  await gateway.event('instance.crashed', ({ error }) => error.includes('exited with code 137'))
})

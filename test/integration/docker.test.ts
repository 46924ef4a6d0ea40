import t, { type Test } from 'tap'
import { readPlugin } from '../../core/plugin.ts'
import docker from '../../plugins/docker/index.ts'
import { DockerDaemon, dockerMissing } from '../helpers/docker-daemon.ts'
import { freePort } from '../helpers/free-port.ts'
import { type RunningGateway, startGateway } from '../helpers/gateway.ts'
import { ask } from '../helpers/http.ts'
import { until } from '../helpers/until.ts'

const skip = dockerMissing()
const daemon = skip ? undefined : await DockerDaemon.start(t)

const httpd = (port: number) => ['/bin/busybox', 'httpd', '-f', '-v', '-p', `127.0.0.1:${port}`, '-h', '/www']
const sh = (script: string) => ['/bin/sh', '-c', script.replace(/\b(httpd|sleep|touch|test)\b/g, '/bin/busybox $1')]

async function world(
  t: Test,
  section: (port: number) => Record<string, unknown>,
  service: Record<string, unknown> = { health: { tcp: true } },
): Promise<RunningGateway & { servicePort: number }> {
  const servicePort = await freePort()
  const config = {
    plugins: { docker: { host: daemon!.host, stop_grace_ms: 1000 } },
    services: {
      web: {
        base_url: `http://127.0.0.1:${servicePort}`,
        start: { timeout_ms: 60_000, cooldown_ms: 0 },
        ...service,
        docker: section(servicePort),
      },
    },
  }
  const gateway = await startGateway(t, { config: JSON.stringify(config) })
  t.teardown(() => {
    const left = daemon!.docker('ps', '-aq').split('\n').filter(Boolean)
    if (left.length > 0) daemon!.docker('rm', '-f', ...left)
  })
  return { ...gateway, servicePort }
}

const running = () => daemon!.docker('ps', '--format', '{{.Names}}').trim()

t.test('R19 a request makes a container of an image, and quiet stops it', { skip }, async (t) => {
  const gateway = await world(
    t,
    (port) => ({
      image: daemon!.image,
      command: httpd(port),
      network: 'host',
      env: { WORD: 'hello world' },
      volumes: ['./shared:/shared'],
    }),
    { health: { tcp: true }, idle: { timeout_ms: 300 } },
  )
  const answers = await Promise.all(Array.from({ length: 5 }, () => ask(`${gateway.url}/services/web/index.html`)))
  t.same(
    answers.map(({ status, text }) => [status, text]),
    Array.from({ length: 5 }, () => [200, 'from a container\n']),
  )
  t.equal(running(), 'hestia-web-default')
  const inspected = JSON.parse(daemon!.docker('inspect', 'hestia-web-default')) as {
    Id: string
    Config: { Env: string[]; Labels: Record<string, string> }
    HostConfig: { Binds: string[] }
  }[]
  t.match(inspected[0], {
    Config: { Env: ['WORD=hello world'], Labels: { 'hestia.service': 'web', 'hestia.instance': 'default' } },
    HostConfig: { Binds: [`${gateway.dir}/shared:/shared`] },
  })
  const { instances } = (await (await fetch(`${gateway.url}/v1/services/web/logs`)).json()) as {
    instances: { lines: { at: number; line: string }[] }[]
  }
  t.ok(
    instances[0]?.lines.some(({ line, at }) => /response:200/.test(line) && Math.abs(at - Date.now()) < 60_000),
    'its log',
  )
  await gateway.event('instance.stopped', ({ reason }) => reason === 'idle')
  t.equal(running(), '')
  t.equal((await ask(`${gateway.url}/services/web/index.html`)).status, 200)
  const again = JSON.parse(daemon!.docker('inspect', 'hestia-web-default')) as { Id: string }[]
  t.equal(again[0]?.Id, inspected[0]?.Id, 'the same container')
  t.notOk(gateway.events.some(({ type }) => type === 'hook.failed' || type === 'instance.crashed'))
})

t.test('R19 an existing container, that runs already, is paused, or ends by itself', { skip }, async (t) => {
  const gateway = await world(t, () => ({ container: 'byhand' }))
  daemon!.docker('run', '-d', '--name', 'byhand', '--network', 'host', daemon!.image, ...httpd(gateway.servicePort))
  const get = async () => (await ask(`${gateway.url}/services/web/index.html`)).status
  const instance = gateway.instance('web')
  t.equal(await get(), 200)
  t.match(instance.data.docker, { name: 'byhand', made: false })
  await instance.stop('idle')
  t.equal(running(), '')
  daemon!.docker('start', 'byhand')
  daemon!.docker('pause', 'byhand')
  t.equal(await get(), 200, 'unpaused')

  const killedAt = performance.now()
  daemon!.docker('kill', 'byhand')
  t.match((await gateway.event('instance.crashed')).error, /container byhand exited with code 137/)
  t.comment(`seen ${Math.round(performance.now() - killedAt)} ms after the kill began`)
  await until(() => instance.state === 'cold', 'it to be cold')
  await instance.start()
  t.equal(await get(), 200)
  const from = gateway.events.length
  daemon!.docker('rm', '-f', 'byhand')
  await gateway.event('instance.crashed', () => true, from)
  await until(() => instance.state === 'cold', 'it to be cold')
  t.match(await ask(`${gateway.url}/services/web/`), { status: 503, text: /no container at .* has the name byhand/ })
})

t.test('R8 a container that ends while it starts is not waited for', { skip }, async (t) => {
  const gateway = await world(t, () => ({
    image: daemon!.image,
    network: 'host',
    command: sh('echo no model >&2; sleep 0.3; exit 4'),
  }))
  const answer = await ask(`${gateway.url}/services/web/`)
  t.equal(answer.status, 503)
  t.match(answer.text, /container hestia-web-default exited with code 4; its last lines: no model/)
})

t.test('R8 the HEALTHCHECK of the container says when it is ready', { skip }, async (t) => {
  const health = (test: string) => ({
    Healthcheck: { Test: ['CMD', '/bin/busybox', 'test', ...test.split(' ')], Interval: 200_000_000, Retries: 50 },
  })
  const gateway = await world(
    t,
    (port) => ({
      image: daemon!.image,
      network: 'host',
      command: sh(`sleep 0.6; touch /tmp/ready; exec httpd -f -p 127.0.0.1:${port} -h /www`),
      create: health('-e /tmp/ready'),
      healthcheck: 'required',
    }),
    {},
  )
  t.equal((await ask(`${gateway.url}/services/web/index.html`)).status, 200)
  const { durationMs } = await gateway.event('instance.ready')
  t.ok(durationMs > 600, `waited ${durationMs} ms`)
  t.ok(gateway.events.some((event) => event.type === 'instance.progress' && /HEALTHCHECK/.test(event.note)))
  await gateway.instance('web').stop('manual')
})

t.test('what a real daemon refuses is a sentence', { skip }, async (t) => {
  const fails = async (section: Record<string, unknown>, message: RegExp) => {
    const gateway = await world(t, () => ({ image: daemon!.image, network: 'host', ...section }))
    const { status, text } = await ask(`${gateway.url}/services/web/`)
    t.equal(status, 503)
    t.match((JSON.parse(text) as { message: string }).message, message)
  }
  await fails({ command: ['/bin/nope'] }, /container hestia-web-default could not be started: .*no such file or directory/)
  await fails({ image: 'hestia.invalid/none:1' }, /image hestia\.invalid\/none:1 could not be pulled: .*; is its name right/)
  await fails({ image: 'none:1', pull: 'never' }, /has no image none:1, and docker\.pull is "never"/)
  await fails(
    { create: { HostConfig: { Memory: 1 } } },
    /container hestia-web-default could not be made: .*[Mm]inimum memory limit/,
  )
  daemon!.docker('create', '--name', 'taken', daemon!.image, 'x')
  await fails({ name: 'taken', command: ['x'] }, /there is a container taken at .* that Hestia did not make/)
})

t.test('R18 what runs is found again by the next gateway', { skip }, async (t) => {
  const section = (port: number) => ({ image: daemon!.image, command: httpd(port), network: 'host' })
  const gateway = await world(t, section)
  const instance = gateway.instance('web')
  await instance.start()
  const { starter } = readPlugin('docker', docker).definition
  t.equal(await starter?.stillRuns?.(instance), true)
  const id = daemon!.docker('ps', '-q').trim()

  // A gateway that was killed leaves a container behind, and maybe no record.
  const next = await startGateway(t, {
    config: JSON.stringify({
      plugins: { docker: { host: daemon!.host, stop_grace_ms: 1000 } },
      services: {
        web: { base_url: `http://127.0.0.1:${gateway.servicePort}`, health: { tcp: true }, docker: section(gateway.servicePort) },
      },
    }),
  })
  t.equal((await ask(`${next.url}/services/web/index.html`)).status, 200)
  t.equal(daemon!.docker('ps', '-q').trim(), id, 'the same container, not started twice')
  await next.instance('web').stop('idle')
  await until(() => instance.state === 'cold', 'the first gateway to see it end')
  t.equal(await starter?.stillRuns?.(instance), false)
})

t.test('a daemon that ends and comes back', { skip }, async (t) => {
  const gateway = await world(t, (port) => ({ image: daemon!.image, command: httpd(port), network: 'host' }))
  t.equal((await ask(`${gateway.url}/services/web/index.html`)).status, 200)
  await daemon!.down()
  const instance = gateway.instance('web')
  await instance.stop('manual')
  t.equal(instance.state, 'cold')
  t.match((await gateway.event('hook.failed')).error, /could not be stopped, and may run still: .*(no Docker (daemon|socket))/)
  const { status, text } = await ask(`${gateway.url}/services/web/`)
  t.equal(status, 503)
  t.match(text, /no Docker (daemon|socket).*systemctl start docker/)

  await daemon!.up()
  t.equal((await ask(`${gateway.url}/services/web/index.html`)).status, 200)
})

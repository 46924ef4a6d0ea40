import { randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { DockerDaemon } from '../helpers/docker-daemon.ts'
import { READER, registryMissing, startRegistry, throttled } from '../helpers/docker-registry.ts'
import { freePort } from '../helpers/free-port.ts'
import { type RunningGateway, startGateway } from '../helpers/gateway.ts'
import { ask } from '../helpers/http.ts'
import { until } from '../helpers/until.ts'

const skip = registryMissing()
const daemon = skip ? undefined : await DockerDaemon.start(t)

/** A gateway with a service of an image, in a container that serves what the image has in `/www`. */
async function world(t: Test, section: Record<string, unknown>, start: Record<string, unknown> = {}): Promise<RunningGateway> {
  const port = await freePort()
  const config = {
    plugins: { docker: { host: daemon!.host, stop_grace_ms: 1000 } },
    services: {
      web: {
        base_url: `http://127.0.0.1:${port}`,
        health: { tcp: true },
        start: { timeout_ms: 60_000, cooldown_ms: 0, ...start },
        docker: {
          command: ['/bin/busybox', 'httpd', '-f', '-p', `127.0.0.1:${port}`, '-h', '/www'],
          network: 'host',
          ...section,
        },
      },
    },
  }
  const gateway = await startGateway(t, { config: JSON.stringify(config) })
  t.teardown(() => {
    const left = daemon!.docker('ps', '-aq').split('\n').filter(Boolean)
    if (left.length > 0) daemon!.docker('rm', '-f', ...left)
  })
  return gateway
}

const page = (gateway: RunningGateway) => ask(`${gateway.url}/services/web/index.html`)

/** Puts an image into a registry, and keeps nothing of it here. */
function publish(image: string, files: Record<string, string | Buffer>): void {
  daemon!.make(image, files)
  daemon!.docker('push', image)
  daemon!.docker('rmi', image)
}

t.test(
  'R19 an image that is missing comes from its registry, however long that takes, and one sees how far it is',
  { skip },
  async (t) => {
    const address = await startRegistry(t)
    publish(`${address}/hestia/web:1`, { 'www/index.html': 'from afar\n', 'www/model': randomBytes(6_000_000) })
    const image = `${await throttled(t, address, 2_000_000)}/hestia/web:1`
    const gateway = await world(t, { image }, { timeout_ms: 1500, stall_ms: 10_000 })
    t.match(await page(gateway), { status: 200, text: 'from afar\n' })
    const notes = gateway.events.flatMap((event) => (event.type === 'instance.progress' ? [event.note] : []))
    t.equal(notes[0], `pulling ${image}`)
    const figures = notes.flatMap((note) => {
      const [, current, total] = /: 0 of 1 layers, (\d+) of (\d+) MB$/.exec(note) ?? []
      return current === undefined ? [] : [[Number(current), Number(total)] as const]
    })
    t.ok(figures.length >= 2, notes.join('; '))
    t.same(
      figures.map(([current]) => current),
      figures.map(([current]) => current).toSorted((a, b) => a - b),
      'more and more',
    )
    t.ok(figures.every(([, total]) => total >= 6))
    t.ok((await gateway.event('instance.ready')).durationMs > 1500, 'longer than start.timeout_ms, as it went on')

    await gateway.instance('web').stop('manual')
    const from = gateway.events.length
    t.equal((await page(gateway)).status, 200)
    t.notOk(gateway.events.slice(from).some((event) => event.type === 'instance.progress' && event.note.startsWith('pulling')))
  },
)

t.test('R19 "pull: always" takes the newer image; a digest names one for good', { skip }, async (t) => {
  const address = await startRegistry(t)
  const image = `${address}/web`
  publish(image, { 'www/index.html': 'old\n' })
  const gateway = await world(t, { image, pull: 'always' })
  t.equal((await page(gateway)).text, 'old\n')
  const [digest] = JSON.parse(daemon!.docker('inspect', '--format', '{{json .RepoDigests}}', image)) as [string]
  const idOf = () => daemon!.docker('ps', '-aq', '--filter', 'label=hestia.service=web').trim()
  const first = idOf()
  await gateway.instance('web').stop('manual')
  t.equal((await page(gateway)).text, 'old\n')
  t.equal(idOf(), first, 'nothing new, nothing made anew')
  await gateway.instance('web').stop('manual')
  daemon!.make(image, { 'www/index.html': 'new\n' })
  daemon!.docker('push', image)
  daemon!.docker('tag', daemon!.image, image)
  t.equal((await page(gateway)).text, 'new\n')
  t.not(idOf(), first)
  await gateway.instance('web').stop('manual')

  const pinned = await world(t, { image: digest, name: 'pinned' })
  t.equal((await page(pinned)).text, 'old\n')
  await pinned.instance('web').stop('manual')
})

t.test('R19 a registry that wants a password', { skip }, async (t) => {
  const address = await startRegistry(t, { password: true })
  const image = `${address}/private/web:1`
  writeFileSync(
    join(daemon!.dir, 'config.json'),
    JSON.stringify({ auths: { [address]: { auth: Buffer.from(`${READER.username}:${READER.password}`).toString('base64') } } }),
  )
  publish(image, { 'www/index.html': 'for members\n' })
  const stranger = await world(t, { image })
  const answer = await page(stranger)
  t.equal(answer.status, 503)
  t.match(
    (JSON.parse(answer.text) as { message: string }).message,
    /image .*\/private\/web:1 could not be pulled: .*no basic auth credentials/,
  )
  const mistaken = await world(t, { image, registry: { ...READER, password: 'forgotten' } })
  const refused = await page(mistaken)
  t.match([refused.status, refused.text], [503, /could not be pulled: .*unauthorized/i])
  const member = await world(t, { image, registry: READER })
  t.match(await page(member), { status: 200, text: 'for members\n' })
  await until(async () => (await ask(`${member.url}/v1/activities?service=web`)).text.includes('instance.ready'))
  const shown = [
    refused.text,
    JSON.stringify(mistaken.events),
    JSON.stringify(member.events),
    daemon!.docker('inspect', 'hestia-web-default'),
  ]
  for (const text of shown) t.notOk(text.includes('forgotten') || text.includes(READER.password), 'the password is nowhere')
  await member.instance('web').stop('manual')
})

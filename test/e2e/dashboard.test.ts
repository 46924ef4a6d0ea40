import { readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Locator, Page } from 'playwright-core'
import t, { type Test } from 'tap'
import { hashPassword } from '../../core/password.ts'
import { startChildGateway } from '../helpers/child-gateway.ts'
import { freePort } from '../helpers/free-port.ts'
import { startGateway } from '../helpers/gateway.ts'
import { ask } from '../helpers/http.ts'
import { plainNode } from '../helpers/plain-node.ts'
import { until } from '../helpers/until.ts'
import { openPage, skip } from './browser.ts'

const DEMO = fileURLToPath(new URL('../../examples/demo-service.mjs', import.meta.url))
const IMAGES = fileURLToPath(new URL('../../docs/images/', import.meta.url))
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
/** Pictures for the docs are made only when they are asked for, so that a run of the tests changes nothing here. */
const TAKES_PICTURES = process.env.HESTIA_SCREENSHOTS === '1'
const PASSWORD = 'correct horse battery staple'

interface Given {
  readonly bootMs?: number
  readonly more?: object
}

async function demo({ bootMs = 300, more = {} }: Given = {}) {
  return {
    base_url: `http://127.0.0.1:${await freePort()}`,
    process: { command: plainNode(DEMO), env: { BOOT_MS: String(bootMs) } },
    health: { url: '/health' },
    ...more,
  }
}

const rowOf = (page: Page, id: string): Locator =>
  page.locator('.service').filter({ has: page.getByRole('link', { name: id, exact: true }) })
const stateOf = (row: Locator): Locator => row.locator('.state')
const sees = (locator: Locator, text: string | RegExp) => {
  // A page that is being left for another has no texts.
  const isThere = async () =>
    (await locator.allInnerTexts().catch(() => [])).some((found) =>
      typeof text === 'string' ? found.includes(text) : text.test(found),
    )
  return until(isThere, `${String(text)} on the page`, 30_000)
}
const isGone = (locator: Locator) => locator.waitFor({ state: 'detached' })

async function picture(page: Page, name: string): Promise<void> {
  if (TAKES_PICTURES) await page.screenshot({ scale: 'css', path: join(IMAGES, `dashboard-${name}.png`) })
}

interface Violation {
  readonly id: string
  readonly impact: string
  readonly nodes: readonly { readonly target: readonly string[]; readonly failureSummary: string }[]
}

/** What axe finds that is serious or critical. */
async function seriousFaults(page: Page): Promise<string[]> {
  await page.evaluate(AXE)
  const violations = await page.evaluate<Violation[]>('axe.run().then(({ violations }) => violations)')
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(
      ({ id, nodes }) =>
        `${id}: ${nodes.map(({ target, failureSummary }) => `${target.join(' ')} ${failureSummary}`).join('; ')}`,
    )
}

t.test('R29 cold to hot and back, live', { skip }, async (t) => {
  const config = JSON.stringify({
    services: { demo: await demo({ bootMs: 800, more: { idle: { timeout_ms: 60_000 } } }), other: await demo() },
  })
  const gateway = await startGateway(t, { config })
  const { page, faults } = await openPage(t, `${gateway.url}/`)
  const row = rowOf(page, 'demo')
  await sees(stateOf(row), 'cold')
  await sees(page.getByRole('complementary', { name: 'Authentication is off' }), 'Every program on this machine')
  await row.getByRole('button', { name: 'Start demo', exact: true }).click()
  await sees(stateOf(row), 'starting')
  await sees(stateOf(row), 'hot')
  await sees(row.locator('.cell-idle'), /0:5\d|1:00/)
  await sees(row.locator('.cell-starts'), /\d s|\d ms/)
  t.equal(await stateOf(rowOf(page, 'other')).innerText(), 'cold')

  const held = ask(`${gateway.url}/services/demo/stream?count=1000&interval_ms=50`).catch(() => undefined)
  await sees(row.locator('.cell-flight'), /\b1\b/)
  await row.getByRole('button', { name: 'Stop demo', exact: true }).click()
  const question = page.getByRole('dialog')
  await sees(question, '1 request is under way')
  await page.keyboard.press('Escape')
  await isGone(question)
  t.equal(gateway.instance('demo').state, 'hot', 'Escape says no')
  await row.getByRole('button', { name: 'Restart demo' }).click()
  await question.getByRole('button', { name: 'Restart it' }).click()
  await gateway.event('instance.stopped')
  await until(() => gateway.events.filter(({ type }) => type === 'instance.ready').length === 2, 'the restart')
  await held
  await sees(stateOf(row), 'hot')

  await page.getByRole('link', { name: 'demo', exact: true }).click()
  await sees(page.getByRole('log'), /listening on http/)
  await sees(page.locator('.timeline'), /ready after/)
  await page.getByRole('button', { name: 'Stop demo', exact: true }).click()
  await sees(page.getByRole('log'), /SIGTERM: stopping/)
  await sees(page.locator('.page-head .state'), 'cold')
  await sees(page.locator('.timeline'), /stopped by hand/)
  t.equal(await page.locator('.timeline .mono').count(), 0, 'the name of the only instance says nothing')

  await page.goto(`${gateway.url}/dashboard#/timeline`)
  await sees(page.locator('.timeline'), /demo\s+stopped/)
  await sees(page.locator('.timeline'), /gateway\s+listening\s+on http/)
  await sees(page.locator('.timeline'), /gateway\s+auth is off\s+every program on this machine/)
  await page.getByLabel('Kind').selectOption('instance.ready')
  await until(async () => (await page.locator('.entry').count()) === 2, 'the two starts')
  await gateway.instance('other').start()
  await sees(page.locator('.entry').first(), /other\s+ready/)
  t.same(faults, [])
})

t.test('R16 R29 a refused change appears where it broke, and goes', { skip }, async (t) => {
  const services = { demo: await demo() }
  const good = `services:\n  demo: ${JSON.stringify(services.demo)}\n`
  const plugin = (broken: boolean) => `export default {\n  name: 'mine',\n  setup () { return ${broken ? '[' : '[]'} }\n}\n`
  const gateway = await startGateway(t, { config: good, files: { 'plugins/mine.ts': plugin(false) } })
  await gateway.configure(`plugins: { mine: {} }\n${good}`)
  await gateway.event('reload.applied', ({ generation }) => generation === 2)
  const { page, faults } = await openPage(t, `${gateway.url}/dashboard`)
  const banner = page.getByRole('alert')
  await sees(page.locator('.connection'), 'live')
  t.equal(await banner.count(), 0)
  await gateway.configure(`plugins: { mine: {} }\n${good}    idel: {}\n`)
  await sees(banner, /hestia_config\.yml:\d+/)
  await gateway.configure(`plugins: { mine: {} }\n${good}`)
  await isGone(banner)

  await gateway.write('plugins/mine.ts', plugin(true))
  await sees(banner, 'plugins/mine.ts:3:')
  await page.getByRole('link', { name: 'Look at it' }).click()
  await sees(page.locator('.problem pre'), 'setup () { return [ }')
  await sees(page.locator('.problem pre'), /\n +\^/)
  await picture(page, 'error')
  t.same(await seriousFaults(page), [])
  await gateway.write('plugins/mine.ts', plugin(false))
  await isGone(banner)
  await sees(page.locator('main'), 'in force as they are on disk')
  await page.getByRole('button', { name: 'Reload now' }).click()
  await sees(page.getByRole('status'), 'Nothing has changed.')
  t.same(faults, [])
})

t.test('R22 R29 log in, make a key that is shown once, revoke it, log out', { skip }, async (t) => {
  const auth = { users: [{ name: 'me', password_hash: await hashPassword(PASSWORD) }] }
  const gateway = await startGateway(t, { config: JSON.stringify({ plugins: { auth }, services: { demo: await demo() } }) })
  const { page, faults } = await openPage(t, `${gateway.url}/dashboard#/keys`)
  t.match(page.url(), /\/login\?next=%2Fdashboard#\/keys$/)
  await page.getByLabel('Name').fill('me')
  await page.getByLabel('Password').fill('wrong')
  await page.getByRole('button', { name: 'Log in' }).click()
  await sees(page.getByRole('alert'), /\w/)
  t.same(await seriousFaults(page), [])
  await picture(page, 'login')
  await page.getByLabel('Password').fill(PASSWORD)
  await page.keyboard.press('Enter')
  await page.waitForURL('**/dashboard#/keys')
  await page.getByRole('heading', { name: 'Keys' }).waitFor()
  t.equal(await page.getByRole('complementary', { name: 'Authentication is off' }).count(), 0)

  await page.getByLabel('Name').fill('laptop')
  await page.getByRole('button', { name: 'Make a key' }).click()
  const key = await page.locator('dialog .secret').innerText()
  t.match(key, /^hst_/)
  t.same(await seriousFaults(page), [])
  await page.getByRole('button', { name: 'Done' }).click()
  const row = page.getByRole('row', { name: /laptop/ })
  await row.waitFor()
  t.notOk((await page.content()).includes(key), 'it was shown this once')
  await picture(page, 'keys')
  const use = async () => (await ask(`${gateway.url}/services/demo/`, { headers: { 'x-api-key': key } })).status
  t.equal(await use(), 200)
  await row.getByRole('button', { name: 'Revoke' }).click()
  await page.getByRole('button', { name: 'Revoke it' }).click()
  await isGone(row)
  t.equal(await use(), 401)

  await page.getByRole('button', { name: 'Log out me' }).click()
  await page.getByRole('button', { name: 'Log in' }).waitFor()
  await page.getByLabel('Name').fill('me')
  await page.getByLabel('Password').fill(PASSWORD)
  await page.keyboard.press('Enter')
  await page.getByRole('heading', { name: 'Keys' }).waitFor()
  // The session ends behind the back of the page: its next question shows that.
  await page.context().clearCookies()
  await page.getByRole('button', { name: 'Log in' }).waitFor()
  t.same(
    faults.filter((fault) => !/status of 401/.test(fault)),
    [],
  )
})

t.test('R22 R29 who may use one service sees that one, and presses what they may', { skip }, async (t) => {
  const auth = { users: [{ name: 'guest', password_hash: await hashPassword(PASSWORD), scopes: ['services:demo'] }] }
  const services = { demo: await demo(), private: await demo() }
  const gateway = await startGateway(t, { config: JSON.stringify({ plugins: { auth }, services }) })
  const { page, faults } = await openPage(t, `${gateway.url}/`)
  await page.getByLabel('Name').fill('guest')
  await page.getByLabel('Password').fill(PASSWORD)
  await page.keyboard.press('Enter')
  const row = rowOf(page, 'demo')
  await sees(stateOf(row), 'cold')
  t.equal(await page.locator('.service').count(), 1)
  t.same(await page.getByRole('navigation', { name: 'Views' }).getByRole('link').allInnerTexts(), ['Services', 'Models'])
  await row.getByRole('button', { name: 'Start demo', exact: true }).click()
  await sees(stateOf(row), 'hot')
  t.equal(await row.getByRole('button', { name: 'Stop demo' }).getAttribute('aria-disabled'), 'true')
  await page.getByRole('link', { name: 'demo', exact: true }).click()
  await sees(page.getByRole('log'), /listening on http/)
  await sees(page.locator('.timeline'), /ready after/)
  t.same(
    faults.filter((fault) => !/status of 401/.test(fault)),
    [],
  )
})

interface Seen {
  readonly frames: readonly number[]
  readonly long: readonly number[]
  readonly quiet: number
}

/** Run in the page: how long frames and tasks take, and what changes in the first row, about which nothing is told. */
const WATCH = `
  globalThis.seen = { frames: [], long: [], quiet: 0 }
  globalThis.first = document.querySelector('.service')
  let last = performance.now()
  const frame = (now) => {
    seen.frames.push(now - last)
    last = now
    requestAnimationFrame(frame)
  }
  requestAnimationFrame(frame)
  new PerformanceObserver((list) => seen.long.push(...list.getEntries().map(({ duration }) => duration))).observe({ type: 'longtask' })
  new MutationObserver((records) => { seen.quiet += records.length })
    .observe(first, { subtree: true, childList: true, attributes: true, characterData: true })
`

t.test('R29 200 services stay smooth while 100 events come each second', { skip }, async (t) => {
  const one = { base_url: 'http://127.0.0.1:1', warmup_ms: 1 }
  const services = Object.fromEntries(Array.from({ length: 200 }, (_, i) => [`service-${String(i).padStart(3, '0')}`, one]))
  const gateway = await startGateway(t, { config: JSON.stringify({ services }) })
  const { page, faults } = await openPage(t, `${gateway.url}/dashboard`)
  await until(async () => (await page.locator('.service').count()) === 200, 'all rows', 60_000)
  await sees(page.locator('.connection'), 'live')
  await page.evaluate(WATCH)
  const states = ['starting', 'hot', 'stopping', 'cold'] as const
  let sent = 0
  const timer = setInterval(() => {
    const i = 1 + (sent % 199)
    const instance = [...gateway.service(`service-${String(i).padStart(3, '0')}`).all][0]!
    const step = Math.floor(sent / 199) % 4
    gateway.gateway.events.emit('instance.state', {
      service: instance.service.id,
      instance: instance.name,
      from: states[(step + 3) % 4]!,
      to: states[step]!,
      reason: 'test',
    })
    sent++
  }, 10)
  t.teardown(() => clearInterval(timer))
  await until(() => sent >= 600, 'the events', 60_000)
  await picture(page, '200-services')
  clearInterval(timer)
  await until(
    async () => (await page.locator('.service .state.cold').count()) === 200,
    'the state that they are really in',
    30_000,
  )
  const { isSame, ...seen } = await page.evaluate<Seen & { isSame: boolean }>(
    "({ ...seen, isSame: first === document.querySelector('.service') })",
  )
  t.ok(isSame, 'rows stay what they are')
  t.equal(seen.quiet, 0, 'one row is not touched by what happens to others')
  const frames = seen.frames.toSorted((a, b) => a - b)
  const at = (share: number) => Math.round(frames[Math.floor(frames.length * share)]!)
  const sum = (list: readonly number[]) => list.reduce((a, b) => a + b, 0)
  t.comment(`${frames.length} frames: median ${at(0.5)} ms, p95 ${at(0.95)} ms, p99 ${at(0.99)} ms, worst ${at(0.9999)} ms`)
  t.comment(`${seen.long.length} long tasks, ${Math.round(sum(seen.long))} ms of ${Math.round(sum(frames))} ms`)
  t.same(faults, [])
})

t.test('R29 a gateway that restarts is found again', { skip }, async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'hestia-dashboard-'))
  t.teardown(() => rm(dir, { recursive: true, force: true }))
  const port = await freePort()
  const file = join(dir, 'hestia_config.yml')
  await writeFile(file, JSON.stringify({ server: { port }, services: { demo: await demo() } }))
  const first = await startChildGateway(t, file)
  const { page } = await openPage(t, `${first.url}/dashboard`)
  await rowOf(page, 'demo').waitFor()
  await sees(page.locator('.connection'), 'live')
  await first.end()
  await sees(page.locator('.connection'), 'reconnecting')
  t.equal(await page.locator('.service').count(), 1, 'what was known stays')
  const second = await startChildGateway(t, file)
  await sees(page.locator('.connection'), 'live')
  await page.getByRole('button', { name: 'Start demo', exact: true }).click()
  await sees(stateOf(rowOf(page, 'demo')), 'hot')
  t.equal(await second.end(), 0, 'and takes the service along when it ends')
})

t.test('R29 by keyboard alone', { skip }, async (t) => {
  const gateway = await startGateway(t, { config: JSON.stringify({ services: { demo: await demo(), other: await demo() } }) })
  const { page } = await openPage(t, `${gateway.url}/dashboard`)
  await rowOf(page, 'other').waitFor()
  const focused = () =>
    page.evaluate<string>(
      "document.activeElement?.getAttribute('aria-label') ?? document.activeElement?.textContent?.trim() ?? ''",
    )
  await page.keyboard.press('Tab')
  t.equal(await focused(), 'To the content')
  await page.keyboard.press('Enter')
  t.equal(await page.evaluate('document.activeElement?.id'), 'main')
  await page.keyboard.press('/')
  await page.keyboard.type('oth')
  await isGone(rowOf(page, 'demo'))
  const way: string[] = []
  for (let i = 0; i < 10 && way.at(-1) !== 'Start other'; i++) {
    await page.keyboard.press('Tab')
    way.push(await focused())
  }
  t.same(way.slice(-2), ['other', 'Start other'], way.join(', '))
  await page.keyboard.press('Enter')
  await sees(stateOf(rowOf(page, 'other')), 'hot')
  t.equal(await focused(), 'Stop other', 'the focus stays where it was')
  await page.keyboard.press('Enter')
  await sees(stateOf(rowOf(page, 'other')), 'cold')
  await page.keyboard.press('Shift+Tab')
  await page.keyboard.press('Enter')
  await page.getByRole('heading', { name: 'other', level: 1 }).waitFor()
})

t.test('R29 every view in light, dark and on a phone: axe finds nothing serious', { skip, timeout: 180_000 }, async (t) => {
  const gateway = await startGateway(t, { config: await household(), files: { 'strategies/pick.ts': PICK } })
  await live(t, gateway.url)
  await gateway
    .instance('archive')
    .start()
    .catch(() => undefined)
  for (const [name, options] of [
    ['light', {}],
    ['dark', { colorScheme: 'dark' }],
    ['phone', { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true }],
  ] as const) {
    const { page, context, faults } = await openPage(t, `${gateway.url}/dashboard`, options)
    await page.getByRole('button', { name: 'Hide' }).click()
    await rowOf(page, 'ollama').waitFor()
    if (TAKES_PICTURES) await page.waitForTimeout(25_000)
    await picture(page, name)
    for (const view of ['services', 'timeline', 'models', 'machines', 'system', 'services/ollama']) {
      await page.goto(`${gateway.url}/dashboard#/${view}`)
      await page.getByRole('heading', { level: 1 }).waitFor({ state: 'attached' })
      await page.waitForLoadState('networkidle').catch(() => undefined)
      t.same(await seriousFaults(page), [], `${view}, ${name}`)
      const { wide, room } = await page.evaluate<{ wide: number; room: number }>(
        '({ wide: document.documentElement.scrollWidth, room: innerWidth })',
      )
      t.ok(wide <= room, `${view}, ${name}: ${wide} px in ${room} px`)
    }
    if (TAKES_PICTURES) await page.waitForTimeout(8000)
    if (name === 'dark') await picture(page, 'service')
    t.same(faults, [])
    await context.close()
  }
})

t.test('the waiting page goes on by itself', { skip }, async (t) => {
  const services = { demo: await demo({ bootMs: 1500, more: { proxy: { waiting_page_ms: 50 } } }) }
  const gateway = await startGateway(t, { config: JSON.stringify({ services }) })
  const { page, faults } = await openPage(t, `${gateway.url}/services/demo/`)
  await sees(page.locator('main'), 'demo is being started')
  await sees(page.locator('h1'), 'Hello from the demo service')
  t.same(
    faults.filter((fault) => !/status of 503|favicon/.test(fault)),
    [],
  )
})

t.test('R26 the page of the HTTP API works under its policy', { skip }, async (t) => {
  const gateway = await startGateway(t, { config: JSON.stringify({ services: {} }) })
  const { page, faults } = await openPage(t, `${gateway.url}/docs`)
  await page.getByText('/v1/services', { exact: true }).first().waitFor()
  await page
    .getByRole('button', { name: /GET.*\/__health/ })
    .first()
    .click()
  await page.getByText('Whether the gateway lives').first().waitFor()
  t.same(faults, [])
})

const PICK = `export default { name: 'pick', select: (_request, service) => service.instances.find((one) => one.healthy) }\n`

/** What somebody might have at home, played by the demo service. */
async function household(): Promise<string> {
  const played = async (
    bootMs: number,
    minutes: number,
    { machine, ...more }: { machine?: string } & Record<string, unknown> = {},
  ) => {
    const { base_url: url, ...rest } = await demo({ bootMs, more: { idle: { timeout_ms: minutes * 60_000 }, ...more } })
    return { ...rest, instances: [{ url, ...(machine === undefined ? {} : { machine }) }] }
  }
  return JSON.stringify({
    machines: {
      'gpu-box': { role: 'remote', address: '127.0.0.1', mac: 'b4:2e:99:00:00:01', capabilities: { gpu: true, vram_gb: 24 } },
      laptop: { role: 'local', address: '127.0.0.1' },
    },
    plugins: { 'wake-on-lan': {}, exclusive: { groups: { gpu: { capacity: 24 } } } },
    services: {
      ollama: await played(400, 5, {
        models: ['llama3.1:8b', 'qwen2.5-coder'],
        aliases: { 'gpt-4o': 'llama3.1:8b' },
        strategy: 'pick',
        machine: 'gpu-box',
        exclusive: { group: 'gpu', weight: 10 },
      }),
      comfyui: await played(900, 2, { machine: 'gpu-box', exclusive: { group: 'gpu', weight: 12 } }),
      jupyter: await played(300, 10, { machine: 'laptop' }),
      jellyfin: await played(200, 15, { machine: 'laptop' }),
      whisper: await played(700, 2, { machine: 'gpu-box', exclusive: { group: 'gpu', weight: 4 } }),
      postgrest: await played(200, 5, { machine: 'laptop' }),
      minio: await played(300, 0),
      archive: {
        base_url: 'http://127.0.0.1:1',
        process: { command: plainNode('-e', 'process.exit(1)') },
        health: { url: '/' },
        start: { cooldown_ms: 600_000 },
      },
    },
  })
}

/** Some use of some services, until the end of the test. */
async function live(t: Test, url: string): Promise<void> {
  await Promise.all(['ollama', 'comfyui', 'jupyter', 'postgrest'].map((id) => ask(`${url}/services/${id}/health`)))
  void ask(`${url}/services/comfyui/stream?count=10000&interval_ms=200`).catch(() => undefined)
  let turn = 0
  const timer = setInterval(() => {
    const wave = 1 + Math.sin(turn++ / 9)
    for (let i = 0; i < wave * 3; i++) ask(`${url}/services/ollama/health`).catch(() => undefined)
    if (turn % 4 === 0) ask(`${url}/services/jupyter/health`).catch(() => undefined)
    if (turn % 11 === 0) ask(`${url}/services/postgrest/health`).catch(() => undefined)
  }, 250)
  t.teardown(() => clearInterval(timer))
}

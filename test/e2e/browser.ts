import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type BrowserContext, type BrowserContextOptions, chromium, type Page } from 'playwright-core'

const found = [process.env.CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(
  (path) => path !== undefined && existsSync(path),
)
const reason = 'there is no Chromium: install the package chromium, or name one in CHROMIUM'

/** Why tests in a browser are left out; false when there is one. */
export const skip: false | string = found === undefined && reason

/** A browser window of its own for one test, and what went wrong in it. */
export interface Window {
  readonly page: Page
  readonly context: BrowserContext
  /** Everything on the console that is an error, what was thrown, and requests to other origins than the first page's. */
  readonly faults: string[]
}

type Teardown = { teardown(fn: () => unknown): void }

/** Opens a page in a Chromium with a profile of its own, which ends with the test. */
export async function openPage(t: Teardown, url: string, options: BrowserContextOptions = {}): Promise<Window> {
  const profile = await mkdtemp(join(tmpdir(), 'hestia-browser-'))
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: found!,
    args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking'],
    viewport: { width: 1280, height: 800 },
    ...options,
  })
  t.teardown(async () => {
    await context.close()
    await rm(profile, { recursive: true, force: true })
  })
  const page = context.pages()[0] ?? (await context.newPage())
  const faults: string[] = []
  const { origin } = new URL(url)
  page.on('console', (message) => {
    if (message.type() === 'error') faults.push(`${message.text()} ${message.location().url}`)
  })
  page.on('pageerror', (error) => faults.push(String(error)))
  page.on('request', (request) => {
    const asked = request.url()
    if (!asked.startsWith(origin) && !/^(data|blob):/.test(asked)) faults.push(`request to ${asked}`)
  })
  page.setDefaultTimeout(30_000)
  await page.goto(url)
  return { page, context, faults }
}

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import { until } from './until.ts'

const json = async (url: string) => (await fetch(url)).json() as Promise<Record<string, unknown>>

/** A folder as somebody would mount it at `/config`: two services, one of which picks by a strategy that comes later. */
export function writeConfig(folder: string, services: Readonly<Record<string, object>>): void {
  for (const name of ['strategies', 'plugins']) mkdirSync(join(folder, name), { recursive: true })
  writeFileSync(join(folder, 'hestia_config.yml'), JSON.stringify({ log: { format: 'json' }, services }))
}

/** What every image must do: answer, start a service at the first request, show its pages, take files that are dropped. */
export async function useImage(t: Test, url: string, folder: string): Promise<void> {
  t.match(await json(`${url}/services/demo/`), { message: 'Hello from the demo service' }, 'R5 a cold service starts')
  t.match(await json(`${url}/v1/services/demo/status`), { state: 'hot' })
  const page = await (await fetch(`${url}/dashboard`)).text()
  const files = [...page.matchAll(/(?:src|href)="([^"]+\.(?:js|css)[^"]*)"/g)].map(
    ([, path]) => new URL(path!, `${url}/dashboard`),
  )
  t.ok(files.length >= 2, 'the dashboard has its script and its style')
  for (const file of files) t.equal((await fetch(file)).status, 200, file.pathname)
  t.equal((await fetch(`${url}/docs`)).status, 200, 'the page of the API')

  const plugin = (word: string) => `import { definePlugin } from 'hestia'
export default definePlugin({ name: 'mine', setup (app) { app.get('/mine', () => ({ word: '${word}' })) } })`
  writeFileSync(join(folder, 'plugins', 'mine.ts'), plugin('one'))
  writeFileSync(
    join(folder, 'strategies', 'pick.ts'),
    `export default { name: 'pick', select: (_request, { instances }) => instances[0] }`,
  )
  const loaded = async () => (await json(`${url}/v1/strategies`)).loaded_strategies as readonly { name: string }[]
  await until(async () => JSON.stringify(await loaded()).includes('"pick"'), 'R14 the strategy that was dropped')
  const file = join(folder, 'hestia_config.yml')
  writeFileSync(file, JSON.stringify({ ...(JSON.parse(readFileSync(file, 'utf8')) as object), plugins: { mine: {} } }))
  await until(async () => (await json(`${url}/mine`)).word === 'one', 'R15 the plugin that was dropped')
  writeFileSync(join(folder, 'plugins', 'mine.ts'), plugin('two'))
  await until(async () => (await json(`${url}/mine`)).word === 'two', 'R15 its next version')
}

import { execFileSync } from 'node:child_process'
import { existsSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { cacheOf, MANIFEST } from '../../bin/cache.js'
import { freePort } from '../../test/helpers/free-port.ts'
import type { Context } from '../context.ts'
import type { Child } from '../measure/children.ts'
import { type Contestant, type Running, serve } from './contestant.ts'

const ROOT = join(import.meta.dirname, '../..')
const COMPILED = join(ROOT, 'dist/hestia.mjs')

export const isCompiled = (): boolean => existsSync(COMPILED)

/** How Hestia is run: as `npm start` does, or as `npm run build` compiled it. */
export type Form = 'source' | 'compiled'

export interface HestiaSetup {
  readonly name?: string
  readonly form?: Form
  /** `plugins:` of the configuration; the standard ones if absent. */
  readonly plugins?: object
  readonly services: Readonly<Record<string, object>>
  /** What is asked until it answers 200; the service `bench` if absent. */
  readonly probe?: string
  readonly nodeArgs?: readonly string[]
  readonly ipc?: boolean
  /** Files beside the configuration, by their names. */
  readonly files?: Readonly<Record<string, string>>
}

/** One that serves; `url` is its own root. */
export type RunningHestia = Running & { readonly child: Child; readonly url: string }

/**
 * Starts it as a user would: from the configuration file, lines at level `info` (each request leaves one) to /dev/null, the
 * database on disk beside the configuration.
 */
export async function startHestia(context: Context, setup: HestiaSetup): Promise<RunningHestia> {
  const { name = 'hestia', form = 'source', plugins, services, probe = '/services/bench/', nodeArgs = [] } = setup
  const [port, dir] = [await freePort(), context.scratch()]
  const file = join(dir, 'hestia_config.yml')
  for (const [fileName, text] of Object.entries(setup.files ?? {})) writeFileSync(join(dir, fileName), text)
  writeFileSync(file, JSON.stringify({ server: { port }, ...(plugins ? { plugins } : {}), services }))
  const program = form === 'compiled' ? [COMPILED, 'serve'] : [join(ROOT, 'bin/hestia.js')]
  const command = [process.execPath, ...nodeArgs, ...program, '--config', file]
  const url = `http://127.0.0.1:${port}`
  const options = { cwd: ROOT, ipc: setup.ipc ?? false }
  return { ...(await serve(name, `${url}/services/bench`, command, options, `${url}${probe}`)), url }
}

/** The service that is measured, which runs by itself. */
export const benchService = (upstreamPort: number): object => ({
  base_url: `http://127.0.0.1:${upstreamPort}`,
  health: { tcp: true },
})

/** With all standard plugins, as shipped. */
export const hestia: Contestant = {
  name: 'hestia',
  start: (port, context) => startHestia(context, { services: { bench: benchService(port) } }),
}

/** The data path alone. */
export const hestiaProxyOnly: Contestant = {
  name: 'hestia, proxy only',
  start: (port, context) =>
    startHestia(context, {
      name: 'hestia, proxy only',
      plugins: { defaults: false, proxy: {} },
      services: { bench: { base_url: `http://127.0.0.1:${port}` } },
    }),
}

const forgetCompiled = (): void => rmSync(join(cacheOf(ROOT), MANIFEST), { force: true })

/** With all standard plugins, for the first time after an installation. */
export const hestiaInstalled: Contestant = {
  name: 'hestia, first start',
  prepare: () => {
    forgetCompiled()
    execFileSync(process.execPath, [join(ROOT, 'bin/prepare.js')], { cwd: ROOT, stdio: 'ignore' })
  },
  start: (port, context) => startHestia(context, { name: 'hestia, first start', services: { bench: benchService(port) } }),
}

/** With all standard plugins, when what `npm install` had compiled is not there, or not what the sources say. */
export const hestiaChanged: Contestant = {
  name: 'hestia, sources changed',
  prepare: forgetCompiled,
  start: (port, context) => startHestia(context, { name: 'hestia, sources changed', services: { bench: benchService(port) } }),
}

export const hestiaCompiled: Contestant = {
  name: 'hestia, compiled',
  missing: () => (isCompiled() ? undefined : 'npm run build makes it'),
  start: (port, context) =>
    startHestia(context, { name: 'hestia, compiled', form: 'compiled', services: { bench: benchService(port) } }),
}

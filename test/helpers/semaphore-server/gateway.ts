import { type RunningGateway, startGateway } from '../gateway.ts'
import { ask } from '../http.ts'
import { startSemaphore } from '../semaphore-server.ts'
import { managedService } from './service.ts'
import type { Behaviour, TemplateRow } from './state.ts'

type Test = Parameters<typeof startGateway>[0]

export interface Setting {
  readonly server?: Parameters<typeof startSemaphore>[1]
  readonly start?: Behaviour
  readonly stop?: Behaviour
  readonly startTemplate?: Partial<TemplateRow>
  readonly stopTemplate?: Partial<TemplateRow>
  /** Further options of the plugin, and keys of the section. */
  readonly plugin?: string
  readonly section?: string
  /** Further lines of the service. */
  readonly more?: string
  readonly credentials?: string
}

/** A gateway with the service `svc`, which templates 3 and 4 of a Semaphore start and stop. */
export async function startAll(t: Test, setting: Setting = {}) {
  const semaphore = await startSemaphore(t, setting.server)
  const service = await managedService(t)
  semaphore.template({ id: 3, name: 'svc start', ...setting.startTemplate }, { run: () => service.up(), ...setting.start })
  semaphore.template({ id: 4, name: 'svc stop', ...setting.stopTemplate }, { run: () => service.down(), ...setting.stop })
  const credentials = setting.credentials ?? `token: "${semaphore.knobs.token}"`
  const config = `
machines: { nas1: { address: 127.0.0.1 } }
plugins:
  semaphore: { base_url: ${semaphore.url}, ${credentials}, poll_interval_ms: 20${setting.plugin ?? ''} }
services:
  svc:
    base_url: ${service.url}
    machine: nas1
    health: { url: /health }
    semaphore: { project: 1, start_template: 3, stop_template: 4${setting.section ?? ''} }
    start: { cooldown_ms: 10 }
${setting.more ?? ''}`
  const gateway = await startGateway(t, { config })
  return { semaphore, service, gateway, config }
}

export const get = (gateway: RunningGateway, path = '/services/svc/x') => ask(gateway.url + path)
export const post = (gateway: RunningGateway, path: string, body: unknown, type = 'application/json') =>
  ask(gateway.url + path, {
    method: 'POST',
    headers: { 'content-type': type },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  })

/** Asks for the cold service and answers the message of the 503. */
export async function refusal(t: { equal(found: unknown, wanted: unknown): unknown }, gateway: RunningGateway): Promise<string> {
  const { status, text } = await get(gateway)
  t.equal(status, 503)
  const { error, message } = JSON.parse(text) as { error: string; message: string }
  t.equal(error, 'start_failed')
  return message
}

export const isStart = (method: string, path: string) => method === 'POST' && path.endsWith('/tasks')
export const isLook = (method: string, path: string) => method === 'GET' && /\/tasks\/\d+$/.test(path)

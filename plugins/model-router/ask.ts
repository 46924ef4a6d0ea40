import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import type { Instance } from 'hestia'
import type { ProxyServiceOptions } from '../../schemas/proxy.ts'
import { urlOf } from './address.ts'

/** The longest list of models that is read, in bytes; the largest known one has about a tenth of that. */
const MAX_BYTES = 8 * 1024 * 1024

/**
 * Asks an instance with GET, on a connection of its own and past routing and admission: a question is no use of a service, so
 * that it neither wakes it nor keeps it awake. `folder`: what relative file names count from.
 * @returns the status, and the body if it is JSON.
 * @throws when there is no answer within `timeoutMs`.
 */
export async function ask(
  instance: Instance,
  path: string,
  { timeoutMs, folder }: { readonly timeoutMs: number; readonly folder: string },
): Promise<{ readonly status: number; readonly json: unknown }> {
  // Few gateways ever ask: a start does not wait for it.
  const { Agent, request } = await import('undici')
  const { ca_file, reject_unauthorized = true } = instance.section<ProxyServiceOptions>('proxy')?.tls ?? {}
  const ca = ca_file === undefined ? {} : { ca: readFileSync(resolve(folder, ca_file)) }
  const agent = new Agent({
    connect: { rejectUnauthorized: reject_unauthorized, timeout: timeoutMs, ...ca },
    maxResponseSize: MAX_BYTES,
  })
  try {
    const { statusCode, body } = await request(urlOf(instance.url, path), {
      dispatcher: agent,
      headers: { accept: 'application/json', 'user-agent': 'hestia-model-router' },
      signal: AbortSignal.timeout(timeoutMs),
    })
    return { status: statusCode, json: jsonOf(await body.text()) }
  } finally {
    await agent.destroy()
  }
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    return undefined
  }
}

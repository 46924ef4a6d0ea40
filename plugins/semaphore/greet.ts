import { messageOf } from 'hestia'
import type { Engine, Kept } from './kept.ts'

/**
 * Says in the log whether Semaphore is there and takes who we are, once for each address and identity: what is wrong with them is
 * known before somebody waits for a service. Never rejects.
 */
export async function greet(engine: Engine, kept: Kept): Promise<void> {
  const { client, templates, options, log } = engine
  const { base_url, token, user, password, ca_file, reject_unauthorized } = options
  const whom = JSON.stringify([base_url, token, user, password, ca_file, reject_unauthorized])
  if (kept.greeted === whom) return
  kept.greeted = whom
  const isCurrent = () => kept.engine === engine
  try {
    await client.ping()
    await client.check()
    const version = await templates.version()
    if (isCurrent()) log.info({ version }, `Semaphore ${version ?? '(which version, it does not say)'} at ${base_url} takes us`)
  } catch (thrown) {
    if (isCurrent()) log.warn({ err: thrown }, `services of Semaphore can't be started now: ${messageOf(thrown)}`)
  }
}

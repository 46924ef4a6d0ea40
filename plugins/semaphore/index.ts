import { readFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { type AutomationStatus, asError, definePlugin, type Instance, messageOf, type Service } from 'hestia'
import { SemaphoreOptions, SemaphoreServiceOptions } from '../../schemas/semaphore.ts'
import { SemaphoreClient } from './client.ts'
import { bringDown, stayFor } from './down.ts'
import { SemaphoreError } from './errors.ts'
import { greet } from './greet.ts'
import { type Engine, type Kept, letGo, machineOf, newKept, recordOf, sectionOf, tell, viewOf } from './kept.ts'
import { semaphoreRoutes } from './routes.ts'
import { checkCredentials } from './rule.ts'
import { Templates } from './templates.ts'
import { bringUp } from './up.ts'

/**
 * Starts and stops services by running templates of Semaphore UI (Ansible, Terraform, shell) and following their tasks. The
 * service's own probe says when it is up; the task says why it does not come up.
 */
export default definePlugin({
  name: 'semaphore',
  options: SemaphoreOptions,
  service: SemaphoreServiceOptions,
  starter: {
    reportsReadiness: false,
    // The task is found by its number; whether the service answers, its probe tells.
    stillRuns: (instance) => recordOf(instance)?.action === 'start',
  },
  check: checkCredentials,
  setup(app, options) {
    const { hestia } = app
    const { generation, events, log } = hestia
    const kept = hestia.keep('semaphore@1', newKept, letGo)
    const client = makeClient(options, dirname(hestia.config.file))
    const engine: Engine = { client, templates: new Templates(client), options, log }
    kept.engine ??= engine

    const unsubscribe = events.subscribe(
      (event) => {
        if (event.generation !== generation) return
        kept.engine = engine
        void greet(engine, kept)
      },
      ['reload.applied'],
    )
    app.addHook('onClose', () => {
      unsubscribe()
      if (kept.engine === engine) kept.engine = undefined
      // What was asked is answered first; whoever goes on asks the next generation's.
      void client.close()
    })

    hestia.hook('beforeStart', (event) => {
      const section = sectionOf(event.instance)
      return section && bringUp(event, section, kept)
    })

    hestia.hook('onIdle', {
      order: 'pre',
      handler: async ({ instance, reason }) => {
        if ((reason !== 'idle' && reason !== 'evicted') || !recordOf(instance) || !sectionOf(instance)?.stop_template)
          return undefined
        const keepFor = await stayFor(instance, kept)
        return keepFor === undefined ? undefined : { keepFor }
      },
    })

    hestia.hook('onIdle', {
      timeout: Number.POSITIVE_INFINITY, // by the bounds of the task, which are the service's own settings
      handler: async (event) => {
        try {
          await bringDown(event, kept)
        } catch (thrown) {
          tell(kept, event.instance, asError(thrown))
          throw new Error(`${event.instance.id} may still be running: ${messageOf(thrown)}`, { cause: thrown })
        }
      },
    })

    app.decorate('automationOf', (service: Service) => automationOf(kept, service))
    semaphoreRoutes(app, kept)
  },
})

function makeClient(options: SemaphoreOptions, folder: string): SemaphoreClient {
  const { base_url: baseUrl, ca_file, reject_unauthorized: rejectUnauthorized, timeout_ms, token, user, password } = options
  const ca = ca_file === undefined ? undefined : readAuthority(resolve(folder, ca_file))
  const place = { baseUrl, ca, rejectUnauthorized, connectTimeoutMs: timeout_ms }
  return new SemaphoreClient(place, token === undefined ? { user: user!, password: password! } : { token }, timeout_ms)
}

function readAuthority(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (thrown) {
    throw new SemaphoreError('misconfigured', `plugins.semaphore.ca_file cannot be read: ${messageOf(thrown)}`, thrown)
  }
}

/** Of the instance that is up, or whose turn it was last; undefined where Semaphore has nothing to do with the service. */
function automationOf(kept: Kept, service: Service): AutomationStatus | undefined {
  const all = service.instances.filter((instance) => sectionOf(instance))
  if (all.length === 0) return undefined
  const isBusy = (instance: Instance) => kept.runs.has(instance)
  const shown = all.find(isBusy) ?? all.find(({ state }) => state !== 'cold') ?? all.find((one) => kept.last.has(one)) ?? all[0]!
  const run = kept.runs.get(shown)
  return {
    provider: 'semaphore',
    machine_id: machineOf(shown) ?? null,
    current_task: run ? viewOf(run, undefined) : null,
    last_task: kept.last.get(shown) ?? null,
  }
}

import type { InstanceRecord, InstanceState, StarterData, Store } from 'hestia'
import type { Row } from './driver.ts'
import { upsert } from './upsert.ts'
import type { Writer } from './writer.ts'

interface StateRow extends Row {
  service_id: string
  instance_id: string
  state: InstanceState
  data: string
  idle_since: number
  since: number
  url: string | null
}

/** The latest state of each instance. */
export function instancesOf(writer: Writer): Store['instances'] {
  const keyOf = (service: string, instance: string): string => `instance ${JSON.stringify([service, instance])}`
  return {
    save: ({ service, instance, state, url = null, data, idleSince, since }) => {
      const text = JSON.stringify(data)
      const row = { service_id: service, instance_id: instance, state, data: text, idle_since: idleSince, since, url }
      writer.put(keyOf(service, instance), ...upsert('instance_states', ['service_id', 'instance_id'], [{ row }]))
    },
    remove: (service, instance) => {
      const sql = 'DELETE FROM instance_states WHERE service_id = ? AND instance_id = ?'
      writer.put(keyOf(service, instance), { sql, params: [service, instance] })
    },
    load: () =>
      writer.use(async (driver) =>
        (await driver.all<StateRow>('SELECT * FROM instance_states ORDER BY service_id, instance_id')).map(recordOf),
      ),
  }
}

const recordOf = (row: StateRow): InstanceRecord => ({
  service: row.service_id,
  instance: row.instance_id,
  state: row.state,
  data: JSON.parse(row.data) as Record<string, StarterData>,
  idleSince: row.idle_since,
  since: row.since,
  url: row.url ?? undefined,
})

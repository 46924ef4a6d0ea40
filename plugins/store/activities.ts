import type { Activity, ActivityFilter, Store } from 'hestia'
import type { StoreOptions } from '../../schemas/store.ts'
import { firstIdAt, type LastId, nextId } from './activity-id.ts'
import type { Command, Row, Value } from './driver.ts'
import type { Writer } from './writer.ts'

const DAY_MS = 86_400_000
const COLUMNS = 'id, service_id, instance_id, kind, state, reason, details, request_id, at'
const LINE = '(?, ?, ?, ?, ?, ?, ?, ?, ?)'

interface ActivityRow extends Row {
  id: string
  service_id: string | null
  instance_id: string | null
  kind: string
  state: string | null
  reason: string | null
  details: string
  request_id: string | null
  at: number
}

/** Inserts rows of the timeline; those that are there already, since an answer was lost, are left alone. */
export const insertActivities = (lines: readonly (readonly Value[])[]): Command => ({
  sql: `INSERT INTO activities (${COLUMNS}) VALUES ${lines.map(() => LINE).join(', ')} ON CONFLICT (id) DO NOTHING`,
  params: lines.flat(),
})

/** The timeline: bounded in age and number. */
export class Activities {
  readonly #writer: Writer
  readonly #last: LastId
  readonly #options: Pick<StoreOptions, 'retention_days' | 'max_activities'>
  #sincePurge = 0

  constructor(writer: Writer, last: LastId, options: Pick<StoreOptions, 'retention_days' | 'max_activities'>) {
    this.#writer = writer
    this.#last = last
    this.#options = options
  }

  readonly offer: Store['activities'] = {
    append: ({ service, instance, kind, state, reason, details, requestId, at }) => {
      const line = [nextId(this.#last, at), service, instance, kind, state, reason, JSON.stringify(details), requestId, at]
      this.#writer.append(line)
      if (++this.#sincePurge > this.#options.max_activities / 10) this.purge()
    },

    query: (filter) => {
      const { where, params } = conditions(filter)
      const sql = `SELECT ${COLUMNS} FROM activities ${where} ORDER BY id DESC LIMIT ?`
      return this.#writer.use(async (driver) => (await driver.all<ActivityRow>(sql, [...params, filter.limit])).map(activityOf))
    },
  }

  /** Deletes what is too old, and the oldest of too many. */
  purge(): void {
    this.#sincePurge = 0
    const { retention_days, max_activities } = this.#options
    this.#writer.put(
      'purge',
      { sql: 'DELETE FROM activities WHERE id < ?', params: [firstIdAt(Date.now() - retention_days * DAY_MS)] },
      {
        sql: 'DELETE FROM activities WHERE id <= (SELECT id FROM activities ORDER BY id DESC LIMIT 1 OFFSET ?)',
        params: [max_activities],
      },
    )
  }
}

function conditions({ service, kind, since, before }: ActivityFilter): { where: string; params: Value[] } {
  const all: [string, ...Value[]][] = []
  if (service !== undefined) all.push(['service_id = ?', service])
  if (kind?.endsWith('.')) all.push(['substr(kind, 1, ?) = ?', kind.length, kind])
  else if (kind !== undefined) all.push(['kind = ?', kind])
  if (since !== undefined) all.push(['id >= ?', firstIdAt(since)])
  if (before !== undefined) all.push(['id < ?', before])
  return {
    where: all.length > 0 ? `WHERE ${all.map(([sql]) => sql).join(' AND ')}` : '',
    params: all.flatMap(([, ...params]) => params),
  }
}

const activityOf = (row: ActivityRow): Activity => ({
  id: row.id,
  service: row.service_id,
  instance: row.instance_id,
  kind: row.kind,
  state: row.state,
  reason: row.reason,
  details: JSON.parse(row.details) as Record<string, unknown>,
  requestId: row.request_id,
  at: row.at,
})

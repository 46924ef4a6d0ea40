import type { Config, ResolvedService } from 'hestia'
import type { Command, Row } from './driver.ts'
import { upsert } from './upsert.ts'

/** The configuration as rows: new ones, changed ones, and what is gone goes. The file is the truth; this is for those who read tables. */
export function mirror(config: Config, now: number): Command[] {
  const services = Object.values(config.services)
  const machines = Object.entries(config.machines)
  const isPrivate = config.plugins.has('auth')
  return [
    gone(
      'services',
      services.map(({ id }) => id),
    ),
    ...upsert(
      'services',
      ['id'],
      services.map((service) => ({
        row: serviceRow(service, isPrivate),
        fresh: { created_at: now },
        stamp: { updated_at: now },
      })),
    ),
    gone(
      'machines',
      machines.map(([id]) => id),
    ),
    ...upsert(
      'machines',
      ['id'],
      machines.map(([id, { role, address, capabilities }]) => ({
        row: { id, name: id, role, address, capabilities: JSON.stringify(capabilities) },
        fresh: { created_at: now, status: 'available' },
        stamp: { updated_at: now },
      })),
    ),
    { sql: 'DELETE FROM routing_rules' },
    ...config.routingRules.map(({ name, match, target_machine_role, priority }) => ({
      sql: 'INSERT INTO routing_rules (id, name, "match", target_machine_role, priority) VALUES (?, ?, ?, ?, ?)',
      params: [String(priority), name, JSON.stringify(match), target_machine_role, priority],
    })),
    // Whatever may still run is remembered, so that the next gateway finds it, also when nothing configures it any more.
    { sql: "DELETE FROM instance_states WHERE state = 'cold' AND service_id NOT IN (SELECT id FROM services)" },
  ]
}

/** Whether a machine can be had, as far as it came to be known by waking it. */
export const machineStatus = (id: string, status: 'available' | 'unavailable', now: number): Command => ({
  sql: 'UPDATE machines SET status = ?, updated_at = ? WHERE id = ?',
  params: [status, now, id],
})

const gone = (table: string, ids: readonly string[]): Command =>
  ids.length === 0
    ? { sql: `DELETE FROM ${table}` }
    : { sql: `DELETE FROM ${table} WHERE id NOT IN (${ids.map(() => '?').join(', ')})`, params: ids }

function serviceRow(service: ResolvedService, isPrivate: boolean): Row {
  const { id, strategy, instances, requires, sections, warmup_ms } = service
  const named = instances.flatMap(({ machine }) => machine ?? [])
  const url = sections.health?.url
  return {
    id,
    name: id,
    strategy: strategy ?? null,
    machine_selector: JSON.stringify({ machines: [...new Set(named)], requires }),
    health_endpoint: typeof url === 'string' ? url : null,
    warmup_ms: warmup_ms ?? null,
    auth_required: isPrivate ? 1 : 0,
  }
}

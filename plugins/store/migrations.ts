/** One statement of a migration, and the table that it is about. */
export type Step = readonly [table: string, sql: string]

/**
 * The schema, as the steps that led to it: version N is the Nth entry. What was released is never changed, only added to.
 * Nothing refers to a service by a foreign key: what happened stays true when the service is gone.
 */
export const MIGRATIONS: readonly (readonly Step[])[] = [
  [
    [
      'services',
      `CREATE TABLE IF NOT EXISTS services (
        id TEXT PRIMARY KEY, name TEXT NOT NULL, strategy TEXT, machine_selector TEXT NOT NULL, health_endpoint TEXT,
        warmup_ms BIGINT, auth_required INTEGER NOT NULL, created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL)`,
    ],
    [
      'machines',
      `CREATE TABLE IF NOT EXISTS machines (
        id TEXT PRIMARY KEY, name TEXT NOT NULL, role TEXT NOT NULL CHECK (role IN ('local', 'remote', 'hpc')),
        capabilities TEXT NOT NULL, address TEXT NOT NULL, status TEXT NOT NULL CHECK (status IN ('available', 'unavailable')),
        created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL)`,
    ],
    [
      'routing_rules',
      `CREATE TABLE IF NOT EXISTS routing_rules (
        id TEXT PRIMARY KEY, name TEXT NOT NULL, "match" TEXT NOT NULL, target_machine_role TEXT NOT NULL,
        priority BIGINT NOT NULL UNIQUE)`,
    ],
    [
      'activities',
      `CREATE TABLE IF NOT EXISTS activities (
        id TEXT PRIMARY KEY, service_id TEXT, instance_id TEXT, kind TEXT NOT NULL, state TEXT, reason TEXT,
        details TEXT NOT NULL, request_id TEXT, at BIGINT NOT NULL)`,
    ],
    [
      'auth_keys',
      `CREATE TABLE IF NOT EXISTS auth_keys (
        id TEXT PRIMARY KEY, name TEXT NOT NULL, hashed_key TEXT NOT NULL, scopes TEXT NOT NULL, created_at BIGINT NOT NULL,
        last_used_at BIGINT, disabled INTEGER NOT NULL)`,
    ],
  ],
  [
    [
      'instance_states',
      `CREATE TABLE IF NOT EXISTS instance_states (
        service_id TEXT NOT NULL, instance_id TEXT NOT NULL, state TEXT NOT NULL, data TEXT NOT NULL,
        idle_since BIGINT NOT NULL, since BIGINT NOT NULL, PRIMARY KEY (service_id, instance_id))`,
    ],
    ['activities', 'CREATE INDEX IF NOT EXISTS activities_by_service ON activities (service_id, id)'],
    ['activities', 'CREATE INDEX IF NOT EXISTS activities_by_kind ON activities (kind, id)'],
  ],
  [['instance_states', 'ALTER TABLE instance_states ADD COLUMN url TEXT']],
]

/** The version of a database that is up to date. */
export const SCHEMA_VERSION = MIGRATIONS.length

import { type Static, Type } from '@sinclair/typebox'
import { Milliseconds } from './units.ts'

/** `plugins.store`: the database. */
export const StoreOptions = Type.Object(
  {
    file: Type.String({
      minLength: 1,
      default: 'hestia.sqlite',
      description: 'The SQLite file, seen from the folder of the configuration; `:memory:` keeps nothing beyond the end.',
    }),
    retention_days: Type.Integer({ minimum: 1, default: 30, description: 'Activities that are older are deleted.' }),
    max_activities: Type.Integer({
      minimum: 1,
      default: 100_000,
      description: 'Of more activities the oldest are deleted; a tenth more may be there for a while.',
    }),
    flush_ms: Milliseconds({ default: 50, description: 'How long what is to be written is gathered, at most.' }),
    buffer: Type.Integer({
      minimum: 1,
      default: 10_000,
      description: 'Activities that are held while they cannot be written; more are dropped, and counted.',
    }),
  },
  { additionalProperties: false, default: {} },
)
export type StoreOptions = Static<typeof StoreOptions>

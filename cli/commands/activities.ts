import type { Command } from 'commander'
import type { HestiaEvent } from '../../core/events.ts'
import { lineOf } from '../../core/log/sentences.ts'
import type { ActivitiesPage, ActivityEntry } from '../../schemas/activity.ts'
import { print, printJson, withGateway } from '../context.ts'
import { plain, style } from '../output/style.ts'
import { type Column, table } from '../output/table.ts'
import { positive } from './logs.ts'

interface Options {
  readonly service?: string
  readonly kind?: string
  readonly since?: string
  readonly limit: number
  readonly json?: boolean
}

/** Of a sentence; problems may be long. */
const WIDTH = 160

/** The event that became an entry: what all entries have in common stands in columns of its own. */
const eventOf = ({ at, kind, service_id, instance_id, state, reason, details }: ActivityEntry): HestiaEvent => {
  const common = { type: kind, at: Date.parse(at), service: service_id ?? undefined, instance: instance_id ?? undefined }
  const to = state === null ? {} : { to: state }
  return { ...common, ...to, reason, error: reason ?? undefined, ...details } as unknown as HestiaEvent
}

function told(entry: ActivityEntry): ReturnType<typeof lineOf> {
  try {
    return lineOf(eventOf(entry))
  } catch {
    // Written by another version, with kinds or details of its own.
    return { level: 'info', sentence: entry.reason ?? JSON.stringify(entry.details) }
  }
}

function what(entry: ActivityEntry): string {
  const { level, sentence } = told(entry)
  const text = plain(sentence)
  const short = text.length > WIDTH ? `${text.slice(0, WIDTH)}...` : text
  return level === 'error' ? style('red', short) : level === 'warn' ? style('yellow', short) : short
}

const COLUMNS: readonly Column<ActivityEntry>[] = [
  { title: 'TIME', cell: ({ at }) => style('dim', at.replace('T', ' ').replace(/\.\d+Z$/, 'Z')) },
  { title: 'KIND', cell: ({ kind }) => kind },
  { title: 'WHAT', cell: what },
]

const PAGE = 1000

/** `hestia activities`: the timeline. */
export function addActivities(program: Command): void {
  program
    .command('activities')
    .description('show what happened to which service, when and why; newest last')
    .option('-s, --service <id>', 'only of this service')
    .option('-k, --kind <kind>', 'only of this kind; a beginning ends with a dot (instance.)')
    .option('--since <time>', 'nothing older: 2026-01-31T12:00:00Z, or 90s, 30m, 2h, 7d ago')
    .option('-n, --limit <count>', 'at most so many', positive, 50)
    .option('--json', 'as JSON, newest first')
    .action((options: Options, command: Command) =>
      withGateway(command, async (client) => {
        const found: ActivityEntry[] = []
        let cursor: string | null = null
        do {
          const query = queryOf(options, Math.min(PAGE, options.limit - found.length), cursor)
          const page: ActivitiesPage = await client.get<ActivitiesPage>(`/v1/activities?${query.toString()}`)
          found.push(...page.activities)
          cursor = page.next
        } while (cursor !== null && found.length < options.limit)
        if (options.json) printJson(found)
        else print(found.length === 0 ? 'Nothing happened.' : table(COLUMNS, found.toReversed()))
      }),
    )
}

const UNITS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

function queryOf({ service, kind, since }: Options, limit: number, cursor: string | null): URLSearchParams {
  const [, amount, unit] = /^(\d+)([smhd])$/.exec(since ?? '') ?? []
  const time = amount === undefined ? since : String(Date.now() - Number(amount) * (UNITS[unit ?? ''] ?? 0))
  const given = { service, kind, since: time, cursor: cursor ?? undefined, limit: String(limit) }
  return new URLSearchParams(Object.entries(given).filter((entry): entry is [string, string] => entry[1] !== undefined))
}

import type { Command } from 'commander'
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

const WHY_WIDTH = 100

/** The reason, else what the event told. */
function why({ reason, details }: ActivityEntry): string {
  const told = Object.entries(details).flatMap(([key, value]) =>
    typeof value === 'object' ? [] : [`${key} ${JSON.stringify(value)}`],
  )
  const text = plain(reason ?? told.join(', '))
  return text.length > WHY_WIDTH ? `${text.slice(0, WHY_WIDTH)}...` : text
}

const COLUMNS: readonly Column<ActivityEntry>[] = [
  { title: 'TIME', cell: ({ at }) => style('dim', at.replace('T', ' ').replace(/\.\d+Z$/, 'Z')) },
  {
    title: 'SERVICE',
    cell: ({ service_id: id, instance_id: instance }) => [id, instance].filter((part) => part !== null).join('/'),
  },
  { title: 'WHAT', cell: ({ kind }) => kind },
  { title: 'WHY', cell: why },
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

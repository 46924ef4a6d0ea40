import { setTimeout as sleep } from 'node:timers/promises'
import { type Command, InvalidArgumentError } from 'commander'
import type { Client } from '../client.ts'
import { print, withGateway } from '../context.ts'
import { CliError } from '../errors.ts'
import { style } from '../output/style.ts'

interface Line {
  /** Milliseconds since the epoch. */
  readonly at: number
  readonly stream: 'stdout' | 'stderr'
  readonly line: string
}

interface Logs {
  readonly instances: readonly { readonly name: string; readonly lines: readonly Line[] }[]
}

interface Options {
  readonly lines: number
  readonly follow?: boolean
  readonly timestamps?: boolean
  readonly json?: boolean
}

/** How often to look for lines that no event tells of, as those of containers. */
const LOOK_MS = 1000
/** After an event others follow soon. */
const GATHER_MS = 50

/** A whole number of at least 1, for options. */
export function positive(text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new InvalidArgumentError('It must be a whole number of at least 1.')
  return Number(text)
}

/** `hestia logs`: what a service wrote. */
export function addLogs(program: Command): void {
  program
    .command('logs')
    .description('show what the programs of a service wrote')
    .argument('<service>')
    .option('-n, --lines <count>', 'at most so many of the newest lines of each instance', positive, 100)
    .option('-f, --follow', 'go on with what it writes from now on')
    .option('-t, --timestamps', 'with the time of each line')
    .option('--json', 'one JSON object for each line')
    .action((id: string, options: Options, command: Command) => withGateway(command, (client) => showLogs(client, id, options)))
}

async function showLogs(client: Client, id: string, options: Options): Promise<void> {
  const path = `/v1/services/${encodeURIComponent(id)}/logs`
  const first = await client.get<Logs>(`${path}?lines=${options.lines}`)
  if (first.instances.length === 0 && !options.follow)
    throw new CliError(`Nothing keeps what ${id} writes; starters such as process do.`)
  const shown = new Map<string, Shown>()
  const show = ({ instances }: Logs): void => {
    const fresh = instances.flatMap(({ name, lines }) => unseen(shown, name, lines).map((line) => ({ ...line, instance: name })))
    for (const { at, stream, line, instance } of fresh.toSorted((a, b) => a.at - b.at)) {
      if (options.json) print(JSON.stringify({ at, instance, stream, line }))
      else {
        const time = options.timestamps ? `${style('dim', new Date(at).toISOString())} ` : ''
        print(`${time}${instances.length > 1 ? `${style('cyan', instance)} ` : ''}${line}`)
      }
    }
  }
  show(first)
  if (!options.follow) return
  const events = await client.events('instance.output')
  let wake: () => void = () => undefined
  const read = async (): Promise<void> => {
    for await (const event of events) if (event.type === 'instance.output' && event.service === id) wake()
  }
  // That the stream ends, the next look tells.
  read().catch(() => undefined)
  while (true) {
    show(await client.get<Logs>(path))
    const woken = new Promise<void>((resolve) => {
      wake = resolve
    })
    await Promise.race([woken, sleep(LOOK_MS)])
    await sleep(GATHER_MS)
  }
}

/** How far the lines of an instance have been shown. */
interface Shown {
  readonly at: number
  /** How many of that very millisecond. */
  readonly count: number
}

/** The lines that have not been shown yet; they are now. */
function unseen(shown: Map<string, Shown>, instance: string, lines: readonly Line[]): readonly Line[] {
  const { at: last, count } = shown.get(instance) ?? { at: Number.NEGATIVE_INFINITY, count: 0 }
  const later = lines.filter(({ at }) => at > last)
  const fresh = [...lines.filter(({ at }) => at === last).slice(count), ...later]
  const newest = lines.at(-1)?.at ?? last
  const end = Math.max(newest, last)
  const inEnd = lines.filter(({ at }) => at === end).length
  shown.set(instance, { at: end, count: end === last ? Math.max(count, inEnd) : inEnd })
  return fresh
}

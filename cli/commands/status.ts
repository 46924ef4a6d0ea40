import type { Command } from 'commander'
import type { ServiceStatus } from '../../schemas/api.ts'
import type { Client } from '../client.ts'
import { print, printJson, withGateway } from '../context.ts'
import { CliError, EXIT } from '../errors.ts'
import { duration } from '../output/duration.ts'
import { style, styleState } from '../output/style.ts'
import { type Column, table } from '../output/table.ts'

type InstanceStatus = ServiceStatus['instances'][number]

/** Events after which a status may look different. */
const TYPES = 'instance.state,instance.health,instance.adopted,service.,reload.applied,request.admitted,request.finished'
/** No more often than this, however much happens. */
const PAUSE_MS = 200

interface Row {
  readonly service: ServiceStatus
  readonly instance: InstanceStatus | undefined
  readonly first: boolean
}

const number = (count: number): string => (count === 0 ? '' : String(count))

function remark({ service, instance }: Row): string {
  if (instance === undefined) return ''
  const { lastError, coolingMs, healthy, idleMs } = instance
  if (lastError !== null)
    return style('red', `failed: ${lastError}${coolingMs === null ? '' : `; again in ${duration(coolingMs)}`}`)
  if (instance.state === 'hot' && !healthy) return style('red', 'unhealthy')
  if (idleMs !== null) return style('dim', `idle for ${duration(idleMs)}`)
  return service.automation.current_task ? `task ${service.automation.current_task.status}` : ''
}

const COLUMNS: readonly Column<Row>[] = [
  { title: 'SERVICE', cell: ({ service, first }) => (first ? service.serviceId : '') },
  { title: 'STATE', cell: ({ service, instance }) => styleState(instance?.state ?? service.state) },
  { title: 'INSTANCE', cell: ({ service, instance }) => (service.instances.length > 1 ? (instance?.name ?? '') : '') },
  { title: 'MACHINE', cell: ({ instance }) => instance?.machine ?? '' },
  { title: 'IN FLIGHT', cell: ({ instance }) => number(instance?.inFlight ?? 0), align: 'right' },
  { title: 'WAITING', cell: ({ instance }) => number(instance?.waiting ?? 0), align: 'right' },
  { title: 'STARTER', cell: ({ service, first }) => (first ? (service.automation.provider ?? '') : '') },
  { title: 'URL', cell: ({ instance }) => instance?.url ?? '' },
  { title: '', cell: remark },
]

/** One row for each instance. */
export function statusTable(services: readonly ServiceStatus[]): string {
  if (services.length === 0) return 'No services are configured.'
  const rows = services.flatMap((service): Row[] => {
    const all = service.instances.map((instance, index) => ({ service, instance, first: index === 0 }))
    return all.length > 0 ? all : [{ service, instance: undefined, first: true }]
  })
  return table(COLUMNS, rows)
}

/** Draws anew in place on a terminal, below what was before elsewhere. */
export function redraw(text: string): void {
  print(process.stdout.isTTY ? `\u001b[H\u001b[J${text}` : text)
}

/** `hestia status`: what runs. */
export function addStatus(program: Command): void {
  program
    .command('status')
    .description('show services and their states; looking starts nothing')
    .argument('[service]', 'only this one')
    .option('--json', 'as JSON; with --watch one line for each change')
    .option('-w, --watch', 'go on showing what changes')
    .action((id: string | undefined, options: { json?: boolean; watch?: boolean }, command: Command) =>
      withGateway(command, async (client) => {
        const look = () => readStatus(client, id)
        if (!options.watch) {
          const services = await look()
          if (options.json) printJson(id === undefined ? services : services[0])
          else print(statusTable(services))
          return
        }
        await watch(client, look, options.json === true)
      }),
    )
}

export const readStatus = async (client: Client, id: string | undefined): Promise<ServiceStatus[]> =>
  id === undefined
    ? client.get<ServiceStatus[]>('/v1/services')
    : [await client.get<ServiceStatus>(`/v1/services/${encodeURIComponent(id)}/status`)]

async function watch(client: Client, look: () => Promise<ServiceStatus[]>, json: boolean): Promise<void> {
  const events = await client.events(TYPES)
  let shown = ''
  const show = async (): Promise<void> => {
    const services = await look()
    const text = json ? JSON.stringify(services) : statusTable(services)
    // Elsewhere than on a terminal only what differs is worth a line; how long something is idle does not count.
    const essence = JSON.stringify(services, (key, value: unknown) =>
      key === 'idleMs' || key === 'coolingMs' ? undefined : value,
    )
    if (essence === shown && !process.stdout.isTTY) return
    shown = essence
    if (json) print(text)
    else redraw(text)
  }
  await show()
  let due: NodeJS.Timeout | undefined
  let failure: unknown
  for await (const _event of events) {
    if (failure !== undefined) throw failure
    due ??= setTimeout(() => {
      due = undefined
      show().catch((error: unknown) => {
        failure = error
      })
    }, PAUSE_MS)
  }
  clearTimeout(due)
  throw new CliError('The gateway ended.', EXIT.unreachable)
}

import type { Static } from '@sinclair/typebox'
import type { Command } from 'commander'
import { formatProblem } from '../../core/problem.ts'
import type { PluginList } from '../../schemas/api.ts'
import { note, print, printJson, withGateway } from '../context.ts'
import { duration } from '../output/duration.ts'
import { plain, style } from '../output/style.ts'
import { type Column, table } from '../output/table.ts'

type Plugins = Static<typeof PluginList>
type Plugin = Plugins['plugins'][number]

const COLUMNS: readonly Column<Plugin>[] = [
  { title: 'PLUGIN', cell: ({ name }) => name },
  { title: 'STATE', cell: ({ state }) => style(state === 'on' ? 'green' : 'red', state) },
  { title: 'SOURCE', cell: ({ source }) => source },
  { title: 'SET UP IN', cell: ({ setupMs }) => duration(setupMs), align: 'right' },
  {
    title: 'HOOKS',
    cell: ({ hooks }) =>
      Object.entries(hooks)
        .map(([hook, places]) => `${hook} ${places.join(',')}`)
        .join(' '),
  },
]

/** `hestia plugins`: what the running build is made of. */
export function addPlugins(program: Command): void {
  program
    .command('plugins')
    .description('list the plugins of the running build, with the places of their handlers in each hook')
    .option('--json', 'as JSON')
    .action((options: { json?: boolean }, command: Command) =>
      withGateway(command, async (client) => {
        const list = await client.get<Plugins>('/v1/plugins')
        if (options.json) return printJson(list)
        print(table(COLUMNS, list.plugins))
        const problems = [...list.plugins.flatMap(({ problems: own = [] }) => own), ...list.problems]
        for (const problem of problems) note(`${style('red', 'refused:')} ${plain(formatProblem(problem))}`)
      }),
    )
}

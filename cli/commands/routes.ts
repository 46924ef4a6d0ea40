import type { Command } from 'commander'
import { print, printJson, withGateway } from '../context.ts'
import { style } from '../output/style.ts'
import { table } from '../output/table.ts'

interface Operation {
  readonly summary?: string
  readonly 'x-any-method'?: boolean
}

interface Route {
  readonly method: string
  readonly path: string
  readonly summary: string
}

/** `hestia routes`: what the running build answers itself. */
export function addRoutes(program: Command): void {
  program
    .command('routes')
    .description('list the HTTP routes of the running build, those of your own plugins included')
    .option('--json', 'as JSON')
    .action((options: { json?: boolean }, command: Command) =>
      withGateway(command, async (client) => {
        const { paths } = await client.get<{ paths: Record<string, Record<string, Operation>> }>('/v1/openapi.json')
        const routes = Object.entries(paths)
          .flatMap(([path, item]) =>
            Object.entries(item).map(
              ([method, { summary = '', 'x-any-method': any }]): Route => ({
                method: any ? 'ANY' : method.toUpperCase(),
                path,
                summary,
              }),
            ),
          )
          .toSorted((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0))
        if (options.json) printJson(routes)
        else
          print(
            table(
              [
                { title: 'METHOD', cell: ({ method }: Route) => style('bold', method) },
                { title: 'PATH', cell: ({ path }) => path },
                { title: '', cell: ({ summary }) => summary },
              ],
              routes,
            ),
          )
      }),
    )
}

import { type Static, Type } from '@sinclair/typebox'

/** `plugins.dashboard`: the web page at `/dashboard`. */
export const DashboardOptions = Type.Object(
  {
    root: Type.Boolean({ default: true, description: 'Whether it is at `/` too.' }),
  },
  { additionalProperties: false, default: {} },
)
export type DashboardOptions = Static<typeof DashboardOptions>

/** `GET /dashboard/facts`: what the page has to know of the gateway before it asks for anything else. */
export const DashboardFacts = Type.Object(
  {
    version: Type.String({ description: 'Of Hestia.' }),
    build: Type.String({ description: 'Changes when the page itself does.' }),
    generation: Type.Integer({ minimum: 1 }),
    auth: Type.Boolean({ description: 'Whether anybody asks who makes a request.' }),
    exposed: Type.Boolean({ description: 'Whether other machines reach the port.' }),
    plugins: Type.Array(Type.String(), { description: 'Names of the plugins that are on.' }),
  },
  { $id: 'DashboardFacts' },
)
export type DashboardFacts = Static<typeof DashboardFacts>

import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TObject, type TSchema, Type } from '@sinclair/typebox'
import { ERRORS } from '../core/errors.ts'
import { Gateway } from '../core/gateway.ts'
import { readPlugin } from '../core/plugin.ts'
import type { OpenApiDocument } from '../plugins/openapi/document.ts'
import { LogConfig, MachineConfig, RootConfig, RoutingRule, ServerConfig } from '../schemas/config.ts'
import { InstanceConfig, ServiceConfig, StartPolicy } from '../schemas/service.ts'
import { STANDARD_PLUGINS } from '../schemas/standard-plugins.ts'

/**
 * Writes the tables of these files from the schemas and the routes, between the marks that stand there; with `--check` it only
 * says whether they are up to date.
 */
const FILES = ['docs/configuration.md', 'docs/api.md']

function typeOf(schema: TSchema): string {
  if (schema.anyOf) return (schema.anyOf as TSchema[]).map(typeOf).join(' or ')
  if (schema.const !== undefined) return `\`${String(schema.const)}\``
  if (schema.type === 'array') return `list of ${typeOf(schema.items as TSchema)}`
  if (schema.type === 'integer') return 'whole number'
  if (schema.type === 'object') return schema.patternProperties ? 'mapping' : 'mapping, see below'
  return String(schema.title ?? schema.type ?? 'anything')
}

const shown = (value: unknown): string => {
  const isEmpty = value === undefined || (typeof value === 'object' && value !== null && Object.keys(value).length === 0)
  return isEmpty ? '' : `\`${JSON.stringify(value)}\``
}

/** A row for each key; mappings with keys of their own follow with dotted names. */
function rows(schema: TObject, prefix = ''): string[] {
  return Object.entries(schema.properties).flatMap(([key, value]) => {
    const required = schema.required?.includes(key) && value.default === undefined ? '**required**' : shown(value.default)
    const nested = value.type === 'object' && value.properties ? rows(value as TObject, `${prefix}${key}.`) : []
    if (nested.length > 0) return nested
    return [`| \`${prefix}${key}\` | ${typeOf(value)} | ${required} | ${value.description ?? ''} |`]
  })
}

const table = (schema: TObject): string => ['| key | value | default | |', '|---|---|---|---|', ...rows(schema)].join('\n')

const standard: ReadonlySet<string> = new Set(STANDARD_PLUGINS)

/** The standard plugins in their order, then those that come on when they are listed. */
async function pluginNames(): Promise<string[]> {
  const files = await readdir(new URL('../plugins/', import.meta.url))
  const others = files.map((file) => file.replace(/\.ts$/, '')).filter((name) => !standard.has(name))
  return [...STANDARD_PLUGINS, ...others.toSorted()]
}

async function pluginTables(): Promise<string> {
  const parts: string[] = []
  for (const name of await pluginNames()) {
    const module = (await import(new URL(`../plugins/${name}.ts`, import.meta.url).href).catch(
      () => import(new URL(`../plugins/${name}/index.ts`, import.meta.url).href),
    )) as { default: unknown }
    const { options, service, machine } = readPlugin(name, module.default).definition
    parts.push(`### ${name}`)
    if (!standard.has(name)) parts.push('Comes on when it is listed under `plugins`.')
    if (options && Object.keys(options.properties).length > 0) parts.push(`Options, under \`plugins.${name}\`:`, table(options))
    if (service) parts.push(`Section of a service, \`services.<id>.${name}\`:`, table(service))
    if (machine) parts.push('Keys of a machine, directly in `machines.<name>`:', table(machine))
    if (!service && !machine && (!options || Object.keys(options.properties).length === 0)) parts.push('Nothing to set.')
  }
  return parts.join('\n\n')
}

const errorTable = (): string =>
  [
    '| status | `error` | |',
    '|---|---|---|',
    ...Object.entries(ERRORS).map(([code, [status, sentence]]) => `| ${status} | \`${code}\` | ${sentence}. |`),
  ].join('\n')

/** The routes of a gateway with all plugins that need no options, by their own description. */
async function routeTable(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'hestia-docs-'))
  const file = join(folder, 'hestia_config.yml')
  await writeFile(
    file,
    'server: { port: 0 }\nlog: { level: silent }\nplugins: { exclusive: {}, store: { file: ":memory:" } }\nservices: {}\n',
  )
  const gateway = await Gateway.start({ configFile: file, env: {} })
  try {
    const { paths } = (await (await fetch(`${gateway.url}/v1/openapi.json`)).json()) as OpenApiDocument
    const routes = Object.entries(paths).flatMap(([path, item]) =>
      Object.entries(item).map(
        ([method, { summary, 'x-any-method': any }]) =>
          `| \`${any ? 'ANY' : method.toUpperCase()} ${path}\` | ${String(summary)} |`,
      ),
    )
    return ['| route | |', '|---|---|', ...routes.toSorted()].join('\n')
  } finally {
    await gateway.stop('docs')
    await rm(folder, { recursive: true, force: true })
  }
}

const sections: Record<string, string> = {
  top: table(Type.Pick(RootConfig, ['shutdown'])),
  server: table(ServerConfig),
  log: table(LogConfig),
  machine: table(MachineConfig),
  rule: table(RoutingRule),
  service: table(Type.Omit(ServiceConfig, ['start'])),
  instance: table(InstanceConfig),
  start: table(StartPolicy),
  plugins: await pluginTables(),
  errors: errorTable(),
  routes: await routeTable(),
}

for (const name of FILES) {
  const file = new URL(`../${name}`, import.meta.url)
  const before = await readFile(file, 'utf8')
  const after = before.replace(
    /(<!-- generated: (\w+) -->\n)[\s\S]*?(\n<!-- end -->)/g,
    (_all, open: string, wanted: string, close: string) => {
      const text = sections[wanted]
      if (text === undefined) throw new Error(`${name} asks for "${wanted}", which nobody generates`)
      return `${open}\n${text}\n${close}`
    },
  )
  if (!process.argv.includes('--check')) await writeFile(file, after)
  else if (after !== before) {
    process.stderr.write(`${name} is out of date; run: npm run docs\n`)
    process.exitCode = 1
  }
}

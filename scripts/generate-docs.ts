import { readdir, readFile, writeFile } from 'node:fs/promises'
import { type TObject, type TSchema, Type } from '@sinclair/typebox'
import { ERRORS } from '../core/errors.ts'
import { readPlugin } from '../core/plugin.ts'
import { LogConfig, MachineConfig, RootConfig, RoutingRule, ServerConfig, STANDARD_PLUGINS } from '../schemas/config.ts'
import { InstanceConfig, ServiceConfig, StartPolicy } from '../schemas/service.ts'

/**
 * Writes the tables of docs/configuration.md from the schemas, between the marks that stand there; with `--check` it only says
 * whether the file is up to date.
 */
const FILE = new URL('../docs/configuration.md', import.meta.url)

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
    const { options, service } = readPlugin(name, module.default).definition
    parts.push(`### ${name}`)
    if (!standard.has(name)) parts.push('Comes on when it is listed under `plugins`.')
    if (options && Object.keys(options.properties).length > 0) parts.push(`Options, under \`plugins.${name}\`:`, table(options))
    if (service) parts.push(`Section of a service, \`services.<id>.${name}\`:`, table(service))
    if (!service && (!options || Object.keys(options.properties).length === 0)) parts.push('Nothing to set.')
  }
  return parts.join('\n\n')
}

const errorTable = (): string =>
  [
    '| status | `error` | |',
    '|---|---|---|',
    ...Object.entries(ERRORS).map(([code, [status, sentence]]) => `| ${status} | \`${code}\` | ${sentence}. |`),
  ].join('\n')

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
}

const before = await readFile(FILE, 'utf8')
const after = before.replace(
  /(<!-- generated: (\w+) -->\n)[\s\S]*?(\n<!-- end -->)/g,
  (_all, open: string, name: string, close: string) => {
    const text = sections[name]
    if (text === undefined) throw new Error(`docs/configuration.md asks for "${name}", which nobody generates`)
    return `${open}\n${text}\n${close}`
  },
)
if (process.argv.includes('--check')) {
  if (after !== before) {
    process.stderr.write('docs/configuration.md is out of date; run: npm run docs\n')
    process.exitCode = 1
  }
} else {
  await writeFile(FILE, after)
}

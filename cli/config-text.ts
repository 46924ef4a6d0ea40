import { stringify } from 'yaml'

/** What a first configuration is made of. */
export interface Answers {
  readonly host: string
  readonly port: number
  readonly demo: boolean
  readonly service:
    | {
        readonly id: string
        readonly url: string
        /** Program with arguments. */
        readonly start: string | undefined
        readonly health: string | undefined
        readonly idleMinutes: number | undefined
      }
    | undefined
}

/** Splits as a shell would, without reading anything into it: spaces separate, quotes keep together. */
export function words(text: string): string[] {
  return [...text.matchAll(/(?:"[^"]*"|'[^']*'|[^\s"'])+/g)].map(([word]) => word.replaceAll(/"([^"]*)"|'([^']*)'/g, '$1$2'))
}

const indented = (value: unknown): string => stringify(value).trimEnd().replaceAll(/^/gm, '  ')

function serviceOf({ id, url, start, health, idleMinutes }: NonNullable<Answers['service']>): string {
  return indented({
    [id]: {
      base_url: url,
      ...(start ? { process: { command: words(start) } } : {}),
      health: health ? { url: health } : { tcp: true },
      ...(idleMinutes === undefined ? {} : { idle: { timeout_ms: idleMinutes * 60_000 } }),
    },
  })
}

const demoOf = (
  file: string,
): string => `  # A small HTTP service that takes a second to boot. The first request starts it; a minute of quiet stops it again.
  demo:
    base_url: http://127.0.0.1:9187
    process:
      command: [node, ${file}] # HOST and PORT come from base_url
    health:
      url: /health
    idle:
      timeout_ms: 60000`

/** The text of a configuration. */
export function configText({ host, port, demo, service }: Answers, demoFile: string): string {
  const services = [...(service ? [serviceOf(service)] : []), ...(demo ? [demoOf(demoFile)] : [])]
  return `# yaml-language-server: $schema=./hestia.schema.json
# Hestia's configuration. Save a change while it runs and it takes effect at once; a mistake is refused with its line.

server:
  ${stringify({ host, port }).trimEnd().replace('\n', '\n  ')}

${services.length > 0 ? `services:\n${services.join('\n\n')}` : 'services: {}'}
`
}

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Ajv } from 'ajv'
import { parse } from 'yaml'
import { ROOT } from './markdown.ts'

const schema = JSON.parse(readFileSync(join(ROOT, 'hestia.schema.json'), 'utf8')) as object
const validate = new Ajv({ strict: false, allErrors: true }).compile(schema)

/** What an editor would mark in a text. */
export function marked(text: string): string[] {
  validate(parse(text, { merge: true }))
  return (validate.errors ?? []).map(
    ({ instancePath, message, params }) => `${instancePath} ${message} ${JSON.stringify(params)}`,
  )
}

/** What a secret is in samples: long enough for a key. */
export const SECRET = 'a-value-of-twenty-characters'

/** Every variable that a text asks for, set to something. */
export function environmentFor(text: string): Record<string, string> {
  const names = [...text.matchAll(/\$\{([A-Za-z_]\w*)\}/g)].map(([, name]) => name!)
  return Object.fromEntries(names.map((name) => [name, /URL/.test(name) ? 'http://192.168.1.2:1' : SECRET]))
}

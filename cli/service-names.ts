import { parseDocument } from 'yaml'

/** Names of the services in the text of a configuration, as far as it can be read; nothing of it is checked. */
export function serviceNames(text: string): string[] {
  const value = parseDocument(text, { logLevel: 'silent' }).toJS() as { services?: object } | null
  return Object.keys(value?.services ?? {})
}

import { parseDocument, stringify } from 'yaml'
import { RootConfig, ServerConfig } from '../../schemas/config.ts'
import { findFaults } from './check.ts'
import { fillDefaults } from './defaults.ts'
import { override } from './environment.ts'
import { parseConfig } from './parse.ts'
import { ProblemList } from './problem-list.ts'
import { settle } from './settle.ts'

/**
 * The section `server` alone, with its defaults and the overrides of the environment; what else stands in the file may be wrong, or
 * need variables that are not set.
 * @throws {ProblemError} when the section itself is wrong, or the file is no YAML.
 */
export function readServer(file: string, text: string, env: Readonly<Record<string, string | undefined>>): ServerConfig {
  const { server } = (parseDocument(text, { logLevel: 'silent', merge: true }).toJS() ?? {}) as { server?: unknown }
  const document = parseConfig(file, stringify({ server: server ?? {} }), env)
  const problems = new ProblemList(document)
  const owner = { prefix: 'HESTIA', path: [], schemas: [{ path: [], schema: RootConfig }] }
  const value = override(document.value, [owner], env, problems)
  const settled = fillDefaults(ServerConfig, settle(ServerConfig, value.server, ['server'], problems.note))
  problems.addFaults(findFaults(ServerConfig, settled), ({ path }) => ['server', ...path])
  problems.throwIfAny()
  return settled as ServerConfig
}

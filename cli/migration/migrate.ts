import { isMap, type YAMLMap } from 'yaml'
import type { Problem } from '../../core/problem.ts'
import { asksForCredentials } from './auth.ts'
import { Draft } from './draft.ts'
import { placeMachines } from './machines.ts'
import { keyOf, type OldPair, readOldFile } from './old-file.ts'
import { Remarks } from './remarks.ts'
import { migrateService } from './service.ts'
import { placeTopLevel } from './top-level.ts'
import { isNothing, pairsOf, truthOf } from './values.ts'

export interface Migrated {
  readonly text: string
  /** What could not be translated, or means something else now, at its line of the old file. */
  readonly remarks: readonly Problem[]
  readonly services: number
}

const UNNAMED_OLLAMA =
  'the old gateway had a service "ollama" at http://localhost:11434 also when its file named none; add it if a client asks for it'

/**
 * Turns a configuration of the Python Hestia into one of this: flat keys become sections, seconds milliseconds. Comments stay; what
 * has no place any more becomes one.
 * @param sections names of sections that services may have
 * @throws {ProblemError} when the text is no such file
 */
export function migrate(file: string, text: string, sections: ReadonlySet<string>): Migrated {
  const { document, lines } = readOldFile(file, text)
  const remarks = new Remarks(file, lines)
  const root = document.contents as YAMLMap
  const pairs = root.items as OldPair[]
  const find = (key: string): OldPair | undefined => pairs.find((pair) => keyOf(pair) === key)
  const draft = new Draft([], remarks, root)
  const hasAuth = asksForCredentials(pairs)
  const usesSemaphore = pairsOf(find('services')?.value).some(({ value }) =>
    truthOf(isMap(value) ? value.get('semaphore_enabled', true) : undefined),
  )
  const old = find('services')
  const services = new Draft(['services'], remarks, old?.value)
  const list = services.finish()
  let machines: ReadonlySet<string> = new Set()
  for (const pair of pairs) {
    if (keyOf(pair) === 'services') draft.put(['services'], list, pair)
    else if (keyOf(pair) === 'machines') machines = placeMachines(pair, draft, remarks)
    else placeTopLevel(pair, draft, { usesSemaphore, hasAuth })
  }
  if (!old) draft.put(['services'], list)
  for (const pair of pairsOf(old?.value)) {
    const id = keyOf(pair)
    if (isMap(pair.value) || isNothing(pair.value))
      services.put([id], migrateService(id, pair.value, { remarks, sections, machines, hasAuth }), pair)
    else services.leave(pair, 'expected a mapping')
  }
  services.finish()
  if (!services.has(['ollama'])) remarks.add(old?.key, ['services'], UNNAMED_OLLAMA)
  if (usesSemaphore) addSemaphore(draft)
  document.contents = draft.finish()
  document.setSchema('1.2')
  const inOrder = remarks.list.toSorted((a, b) => (a.line ?? 0) - (b.line ?? 0) || (a.column ?? 0) - (b.column ?? 0))
  return { text: document.toString({ lineWidth: 0 }), remarks: inOrder, services: list.items.length }
}

const variable = (name: string): string => `\${${name}}`

/** What the old gateway had from its environment, or had built in. */
function addSemaphore(draft: Draft): void {
  const plugin = ['plugins', 'semaphore']
  const has = (key: string): boolean => draft.has([...plugin, key])
  if (!has('base_url')) draft.put([...plugin, 'base_url'], variable('SEMAPHORE_BASE_URL'))
  if (!has('token') && !has('user')) draft.put([...plugin, 'token'], variable('SEMAPHORE_TOKEN'))
  if (!has('project')) draft.put([...plugin, 'project'], 1)
}

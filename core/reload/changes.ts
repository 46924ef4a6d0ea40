import { isDeepStrictEqual } from 'node:util'
import type { Generation } from './generation.ts'

type Built = Pick<Generation, 'config' | 'modules'>

/** What differs between two generations, as short sentences for logs and for whoever asked for the reload. */
export function describeChanges(before: Built | undefined, after: Built): string[] {
  if (!before) return ['first generation']
  const changes: string[] = []
  const note = (what: string, a: unknown, b: unknown) => {
    if (isDeepStrictEqual(a, b)) return
    changes.push(`${what} ${a === undefined ? 'added' : b === undefined ? 'removed' : 'changed'}`)
  }
  for (const key of ['server', 'log', 'shutdown', 'machines'] as const) note(key, before.config[key], after.config[key])
  for (const id of keysOf(before.config.services, after.config.services)) {
    note(`service ${id}`, before.config.services[id], after.config.services[id])
  }
  const [modulesBefore, modulesAfter] = [before, after].map(
    ({ modules }) => new Map(modules.map((module) => [module.name, module])),
  )
  for (const name of new Set([...modulesBefore!.keys(), ...modulesAfter!.keys()])) {
    const [a, b] = [modulesBefore!.get(name), modulesAfter!.get(name)]
    if (a && b && a !== b) changes.push(`plugin ${name} changed`)
    else if (!a || !b) changes.push(`plugin ${name} switched ${a ? 'off' : 'on'}`)
    else note(`options of plugin ${name}`, before.config.plugins.get(name), after.config.plugins.get(name))
  }
  return changes
}

const keysOf = (a: object, b: object): Set<string> => new Set([...Object.keys(a), ...Object.keys(b)])

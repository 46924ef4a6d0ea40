import type { TSchema } from '@sinclair/typebox'
import type { Path } from './check.ts'
import type { ProblemList } from './problem-list.ts'
import { type Leaf, leavesOf } from './schema.ts'
import { Substituted } from './substitute.ts'

/** A part of the configuration whose values variables with this prefix set. */
export interface Owner {
  readonly prefix: string
  readonly path: Path
  readonly schemas: readonly Branch[]
}

/** A schema and where it stands under its owner. */
export interface Branch {
  readonly path: readonly string[]
  readonly schema: TSchema
}

/** `['my-llm', 'start_template']` is `MY_LLM_START_TEMPLATE`. */
export const variableName = (...parts: readonly string[]): string =>
  parts
    .join('_')
    .toUpperCase()
    .replaceAll(/[^A-Z0-9]/g, '_')

function groupBy<T>(items: Iterable<T>, nameOf: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>()
  for (const item of items) {
    const group = groups.get(nameOf(item))
    if (group) group.push(item)
    else groups.set(nameOf(item), [item])
  }
  return groups
}

type Names = ReadonlyMap<string, readonly Leaf[]>

const known = new WeakMap<TSchema, Names>()

/** The leaves of a schema by the name of their variable, which more than one may share. */
function namesOf(schema: TSchema): Names {
  const cached = known.get(schema)
  if (cached) return cached
  const names = groupBy(leavesOf(schema), ({ path }) => variableName(...path))
  known.set(schema, names)
  return names
}

function matchBranch({ path, schema }: Branch, name: string): Path[] {
  const prefix = path.length === 0 ? '' : `${variableName(...path)}_`
  if (!name.startsWith(prefix)) return []
  const leaves = namesOf(schema).get(name.slice(prefix.length)) ?? []
  return leaves.map((leaf) => [...path, ...leaf.path])
}

/** The paths that a variable sets. */
function targetsOf(variable: string, owners: ReadonlyMap<string, readonly Owner[]>): Path[] {
  const targets: Path[] = []
  for (let end = variable.indexOf('_'); end > 0; end = variable.indexOf('_', end + 1)) {
    const rest = variable.slice(end + 1)
    for (const owner of owners.get(variable.slice(0, end)) ?? []) {
      const found = owner.schemas.flatMap((branch) => matchBranch(branch, rest))
      targets.push(...found.map((path) => [...owner.path, ...path]))
    }
  }
  return targets
}

/** A copy of `tree` with a value put in; what is no mapping on the way stays, to be refused later. */
function put(tree: unknown, path: Path, value: unknown): unknown {
  const [key, ...rest] = path
  if (key === undefined) return value
  const base = tree === null || tree === undefined || tree === true ? {} : tree
  if (typeof base !== 'object' || Array.isArray(base) || base instanceof Substituted) return base
  return { ...base, [key]: put((base as Record<string, unknown>)[key], rest, value) }
}

/**
 * Puts the variables that name a value of the configuration over what the file says. Which variables exist follows from
 * the schemas; empty ones count as not set. One that could mean two values is a problem.
 */
export function override(
  value: Readonly<Record<string, unknown>>,
  owners: readonly Owner[],
  env: Readonly<Record<string, string | undefined>>,
  problems: ProblemList,
): Readonly<Record<string, unknown>> {
  const byPrefix = groupBy(owners, ({ prefix }) => prefix)
  let result: unknown = value
  for (const [variable, text] of Object.entries(env)) {
    const targets = text ? targetsOf(variable, byPrefix) : []
    const [target, ...others] = targets
    if (target === undefined) continue
    if (others.length > 0) {
      const meanings = targets.map((path) => path.join('.')).join(' and ')
      problems.addEnvironment(target, `the variable ${variable} could mean ${meanings}; set them in the file instead`)
    } else {
      result = put(result, target, new Substituted(text ?? '', { override: true, variables: [variable], files: [] }))
    }
  }
  return result as Readonly<Record<string, unknown>>
}

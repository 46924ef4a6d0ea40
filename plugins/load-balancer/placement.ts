/** One instance and the machine it runs on, as far as placement looks at them. */
export interface Site {
  /** Undefined when the configuration names no machine. */
  readonly machine: { readonly name: string; readonly role: string; readonly capabilities: Capabilities } | undefined
  /** False when everything on the machine has failed lately, or when it could not be woken. */
  readonly available: boolean
}

export type Capabilities = Readonly<Record<string, boolean | number | string>>

/** A routing rule; those that count first come first. */
export interface Rule {
  readonly name: string
  readonly match: { readonly tags: readonly string[]; readonly requires: readonly string[] }
  readonly target_machine_role: string
}

/** What a service asks for. */
export interface Wishes {
  readonly tags: readonly string[]
  readonly requires: Capabilities
}

/** Where a service runs rather: the sites to prefer, by which rule, and why, in words. */
export interface Placement<S> {
  readonly sites: readonly S[]
  readonly rule: string | null
  readonly reason: string
}

/** Whether a machine has what is asked for: at least as much of a number, else the same. */
export const meets = (has: Capabilities, asked: Capabilities): boolean =>
  Object.entries(asked).every(([name, wanted]) => {
    const there = has[name]
    return typeof wanted === 'number' && typeof there === 'number' ? there >= wanted : there === wanted
  })

const matches = ({ match }: Rule, { tags, requires }: Wishes): boolean =>
  match.tags.every((tag) => tags.includes(tag)) && match.requires.every((name) => Object.hasOwn(requires, name))

/**
 * Narrows the sites of a service down: to machines that have what it requires, of those to machines that are available, of those
 * to the role that the first matching rule prefers, if there is such a machine. Never answers an empty list for a full one, but for
 * requirements that nobody meets.
 */
export function place<S extends Site>(sites: readonly S[], wishes: Wishes, rules: readonly Rule[]): Placement<S> {
  const asks = Object.keys(wishes.requires)
  const able = asks.length === 0 ? sites : sites.filter(({ machine }) => machine && meets(machine.capabilities, wishes.requires))
  const needs = asks.length === 0 ? '' : ` with ${asks.join(', ')}`
  if (able.length === 0) return { sites: able, rule: null, reason: `no machine has${needs.replace(' with', '')}` }
  const there = able.filter(({ available }) => available)
  const candidates = there.length > 0 ? there : able
  for (const rule of rules) {
    if (!matches(rule, wishes)) continue
    const preferred = candidates.filter(({ machine }) => machine?.role === rule.target_machine_role)
    if (preferred.length === 0) continue
    return { sites: preferred, rule: rule.name, reason: `rule ${rule.name} prefers ${rule.target_machine_role} machines${needs}` }
  }
  const skipped = able.length - candidates.length
  if (skipped > 0)
    return { sites: candidates, rule: null, reason: `${skipped} of ${able.length} sites${needs} are not available` }
  return { sites: candidates, rule: null, reason: asks.length > 0 ? `a machine${needs}` : 'no rule says otherwise' }
}

import { computed, signal } from '@preact/signals'
import type { Static } from '@sinclair/typebox'
import type { PluginList, ProblemView, StrategyList } from '../../../schemas/api.ts'
import { get } from './api.ts'
import { may } from './session.ts'

export type Problem = Static<typeof ProblemView>

export const plugins = signal<Static<typeof PluginList> | undefined>(undefined)
export const strategies = signal<Static<typeof StrategyList> | undefined>(undefined)

const SOON_MS = 60
let soon: ReturnType<typeof setTimeout> | undefined

export const concernsSystem = (type: string): boolean => /^(reload|strategy|hook)\./.test(type)

/** Reads plugins and strategies, once for several changes. */
export function refreshSystem(): void {
  if (!may('read')) return
  if (soon !== undefined) return
  soon = setTimeout(() => {
    soon = undefined
    get<Static<typeof PluginList>>('v1/plugins')
      .then((list) => (plugins.value = list))
      .catch(() => undefined)
    get<Static<typeof StrategyList>>('v1/strategies')
      .then((list) => (strategies.value = list))
      .catch(() => undefined)
  }, SOON_MS)
}

/** Files that are broken now, while what was there before serves on. */
export const problems = computed<readonly { readonly of: string; readonly problem: Problem }[]>(() => [
  ...(plugins.value?.problems ?? []).map((problem) => ({ of: 'Configuration', problem })),
  ...(plugins.value?.plugins ?? []).flatMap(({ name, problems = [] }) =>
    problems.map((problem) => ({ of: `Plugin ${name}`, problem })),
  ),
  ...(strategies.value?.failed ?? []).flatMap(({ problems }) => problems.map((problem) => ({ of: 'Strategy', problem }))),
])

import type { Draft } from './draft.ts'
import type { OldPair } from './old-file.ts'
import { instead, isNothing, numberOf } from './values.ts'

/** A number with a new place. */
export interface Quantity {
  readonly to: readonly string[]
  /** New units in an old one. */
  readonly times?: number
  readonly atLeast?: number
}

export function placeQuantity(pair: OldPair, { to, times = 1, atLeast = 0 }: Quantity, draft: Draft): void {
  const value = numberOf(pair.value)
  if (value !== undefined) draft.put(to, instead(pair.value, Math.max(atLeast, Math.round(value * times))), pair)
  else if (isNothing(pair.value)) draft.drop(pair)
  else draft.leave(pair, 'expected a number')
}

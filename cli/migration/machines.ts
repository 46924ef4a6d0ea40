import { isMap, isSeq, type Node } from 'yaml'
import { MachineConfig } from '../../schemas/config.ts'
import { Draft } from './draft.ts'
import { keyOf, type OldPair } from './old-file.ts'
import type { Remarks } from './remarks.ts'
import { pairsOf, textOf } from './values.ts'

interface Entry {
  readonly name: string | undefined
  readonly value: Node | null
  /** Where it stands in a mapping. */
  readonly pair?: OldPair
}

const entriesOf = (value: Node | null): Entry[] =>
  isSeq(value)
    ? (value.items as Node[]).map((item) => ({
        name: isMap(item) ? textOf(item.get('name', true) ?? item.get('id', true)) : undefined,
        value: item,
      }))
    : pairsOf(value).map((pair) => ({ name: keyOf(pair), value: pair.value, pair }))

/**
 * `machines`, a mapping by name; a list with names becomes one.
 * @returns the names
 */
export function placeMachines(old: OldPair, draft: Draft, remarks: Remarks): ReadonlySet<string> {
  const entries = entriesOf(old.value)
  if (entries.some(({ name, value }) => !name || !isMap(value))) {
    draft.leave(old, 'expected machines with a name each')
    return new Set()
  }
  const machines = new Draft(['machines'], remarks, old.value)
  for (const { name = '', value, pair } of entries) {
    const machine = new Draft(['machines', name], remarks, value)
    for (const each of pairsOf(value)) {
      if (Object.hasOwn(MachineConfig.properties, keyOf(each))) machine.put([keyOf(each)], each.value, each)
      else if (!pair && ['id', 'name'].includes(keyOf(each))) machine.drop(each)
      else machine.leave(each, 'a machine has no such key')
    }
    machines.put([name], machine.finish(), pair)
  }
  draft.put(['machines'], machines.finish(), old)
  return new Set(entries.map(({ name = '' }) => name))
}

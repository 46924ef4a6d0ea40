import { isMap, isScalar, isSeq, YAMLMap, YAMLSeq } from 'yaml'
import type { Draft } from './draft.ts'
import { keyOf, type OldPair } from './old-file.ts'
import { isNothing, pairsOf, truthOf } from './values.ts'

const HASH = 'users have a hash instead: { name, password_hash } in plugins.auth.users, from scripts/hash-password.ts'

/** Whether an old file asked for credentials. */
export function asksForCredentials(pairs: readonly OldPair[]): boolean {
  const find = (key: string) => pairs.find((pair) => keyOf(pair) === key)?.value
  const auth = find('auth')
  const enabled = find('auth_enabled') ?? (isMap(auth) ? auth.get('enabled', true) : auth)
  return enabled === undefined ? isMap(auth) : truthOf(enabled)
}

/** `auth`, or its parts at the top level. */
export function placeAuth(pair: OldPair, draft: Draft, isOn: boolean): void {
  const key = keyOf(pair)
  if (key === 'auth_enabled' || isScalar(pair.value)) {
    if (!isOn) draft.put(['plugins', 'auth'], false, pair)
    else if (key === 'auth_enabled' || key === 'auth') draft.drop(pair)
    else placeKeys(pair, draft)
  } else if (!isOn) draft.leave(pair, 'it was not enabled')
  else if (key === 'auth') {
    draft.drop(pair)
    for (const inner of pairsOf(pair.value)) placePart(inner, draft)
  } else placeKeys(pair, draft)
}

function placePart(part: OldPair, draft: Draft): void {
  const key = keyOf(part)
  if (/^(?:api_)?keys?$/.test(key)) placeKeys(part, draft)
  else if (/^(?:username|user|users|password)$/.test(key)) draft.leave(part, HASH, ['auth'])
  else if (key === 'enabled') draft.drop(part)
  else draft.leave(part, 'Hestia has no such key', ['auth'])
}

/** Keys of the old gateway could do everything. */
function placeKeys(pair: OldPair, draft: Draft): void {
  const single = isScalar(pair.value) && !isNothing(pair.value) ? [pair.value] : []
  const items: readonly unknown[] = isSeq(pair.value) ? pair.value.items : single
  if (items.length === 0) {
    draft.leave(pair, 'expected keys')
    return
  }
  const keys = new YAMLSeq()
  keys.commentBefore = pair.value?.commentBefore ?? null
  for (const [index, item] of items.entries()) {
    const key = new YAMLMap()
    const parts = pairsOf(item).filter((part) => ['name', 'key', 'hash', 'scopes'].includes(keyOf(part)))
    for (const part of parts) key.set(keyOf(part), part.value)
    if (isScalar(item)) key.set('key', item)
    if (!key.has('name')) key.set('name', `key-${index + 1}`)
    if (!key.has('scopes')) key.set('scopes', ['admin'])
    keys.add(key)
  }
  draft.put(['plugins', 'auth', 'keys'], keys, pair)
}

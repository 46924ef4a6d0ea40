import { KEY_SCAN_WASM } from './key-scan-wasm.ts'
import { searchedKey } from './searched-key.ts'

/**
 * Whether a key of a JSON object may stand somewhere in bytes, as fast as memory is read. Searches of Node stop at each first byte
 * of what they look for, here a quote or a backslash, of which some bodies are full; those 16 bytes at a time (WebAssembly SIMD,
 * key-scan.wat) stop nowhere. They leave places that are worth a look, which is taken here.
 */

const QUOTE = 0x22
const BACKSLASH = 0x5c
/** How many bytes are copied to the memory of the search and looked through at a time: with 80 more they fit its 64 KiB. */
const PIECE = 48 * 1024
/** How many bytes behind a place belong to what is searched for there. */
const BEHIND = 3

/** What is used of WebAssembly here: its types come with those of browsers only. */
declare const WebAssembly: {
  readonly Module: new (bytes: Uint8Array) => object
  readonly Instance: new (module: object) => { readonly exports: object }
}

/** What key-scan.wat exports. */
interface Search {
  readonly memory: { readonly buffer: ArrayBuffer }
  find(at: number, end: number, key: number, low: number, high: number): number
}

const search = loaded()
const memory = search ? new Uint8Array(search.memory.buffer) : new Uint8Array()

/** Undefined where there is no SIMD (x86 before SSE4.1), no memory for it (`ulimit -v`) or no WebAssembly (`--jitless`). */
function loaded(): Search | undefined {
  try {
    return new WebAssembly.Instance(new WebAssembly.Module(KEY_SCAN_WASM)).exports as Search
  } catch {
    return undefined
  }
}

/**
 * Whether `bytes` may hold the key `name` from `from` on, however it is spelt and however deep it is. False is certain for any
 * JSON (RFC 8259, 7); true may only mean that nobody can tell at a glance.
 */
export function mayHoldKey(bytes: Buffer, from: number, name: string): boolean {
  if (!search) return true
  const searched = searchedKey(name)
  if (!searched.isSearchable) return true
  const { start: key, low, high } = searched
  for (let start = from; start < bytes.length; start += PIECE) {
    memory.set(bytes.subarray(start, start + PIECE + BEHIND))
    const end = Math.min(PIECE, bytes.length - start)
    // Behind the end of `bytes` is what was there before, so all that is found is looked at in `bytes`.
    for (let at = search.find(0, end, key, low, high); at < end; at = search.find(at + 1, end, key, low, high)) {
      if (bytes[start + at] === QUOTE ? searched.isAt(bytes, start + at) : isEscapeOf(bytes, start + at, name)) return true
    }
  }
  return false
}

/** Whether the `u` at `at` may belong to an escape, `\u00` and two more digits, that stands for a letter of `name`. */
function isEscapeOf(bytes: Buffer, at: number, name: string): boolean {
  return bytes[at - 1] === BACKSLASH && name.includes(String.fromCharCode(digit(bytes[at + 3]!) * 16 + digit(bytes[at + 4]!)))
}

/** The value of a hexadecimal digit. In ASCII those of letters have the bit 0x40, and `a` and `A` end in 1. */
const digit = (byte: number): number => (byte & 0xf) + (byte >> 6) * 9

/** Smaller ones are not worth keeping, in bytes. */
const SMALLEST = 64 * 1024

/** How much is kept at most, in bytes. */
const MOST_KEPT = 32 * 2 ** 20

/** By size. The collector may take them; what it would take if each were made anew it has to look for all the time. */
const kept = new Map<number, WeakRef<Buffer>[]>()
let keptBytes = 0

/** A buffer of at least `size` bytes, with anything in it. */
export function takeRoom(size: number): Buffer {
  if (size <= SMALLEST) return Buffer.allocUnsafe(size)
  const rounded = 2 ** Math.ceil(Math.log2(size))
  const list = kept.get(rounded) ?? []
  for (let ref = list.pop(); ref; ref = list.pop()) {
    keptBytes -= rounded
    const room = ref.deref()
    if (room) return room
  }
  return Buffer.allocUnsafeSlow(rounded)
}

/** Takes it back from who is sure that nobody has it any more. */
export function giveBackRoom(room: Buffer): void {
  const size = room.length
  if (size <= SMALLEST) return
  if (keptBytes + size > MOST_KEPT) forgetCollected()
  if (keptBytes + size > MOST_KEPT) return
  keptBytes += size
  const list = kept.get(size)
  if (list) list.push(new WeakRef(room))
  else kept.set(size, [new WeakRef(room)])
}

function forgetCollected(): void {
  keptBytes = 0
  for (const [size, list] of kept) {
    const there = list.filter((ref) => ref.deref() !== undefined)
    kept.set(size, there)
    keptBytes += there.length * size
  }
}

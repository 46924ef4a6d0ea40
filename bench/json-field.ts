import { jsonField } from '../core/http/json-field.ts'

/**
 * What it costs to find `model` in JSON bodies of 2 KiB and of 1 MiB, beside parsing all of it: `npm run bench:json-field`. Both
 * ways are measured in turns in one run; the ratio of their medians is what counts. At the start is the worst place, and the usual
 * one: all has to be looked at to know that no later field has the same name.
 */
const KIB = 1024
const ROUNDS = 200
/** How many bytes are looked through between two looks at the clock, at least: one small body takes less than it can tell. */
const BATCH = 512 * KIB

const words = 'The quick brown fox jumps over the lazy dog while "nobody" looks; so it goes on and on. '
const message = (index: number) => ({
  role: index % 2 === 0 ? 'user' : 'assistant',
  content: words.slice(index % 40).repeat(1 + (index % 3)),
})

/** As JSON writers do that know no other letters than ASCII; Python's is one. */
const toAscii = (json: string): string =>
  json.replaceAll(/[^\0-\x7f]/g, (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}`)

/** Bodies without the field, each of about `size` bytes. */
function shapes(size: number): Record<string, object> {
  /** As many items as fill the size. */
  function fill<T>(make: (index: number) => T): T[] {
    const items: T[] = []
    for (let filled = 0; filled < size; filled += JSON.stringify(items.at(-1)).length + 1) items.push(make(items.length))
    return items
  }
  return {
    'one image in base64': { messages: [{ role: 'user', content: Buffer.alloc((size * 3) / 4, 'pixels').toString('base64') }] },
    'many messages': { messages: fill(message) },
    'many numbers': { input: fill((index) => Math.sin(index)) },
    'small integers (tokens)': { input: fill((index) => (index * 7919) % 50_000) },
    'small objects': { tools: fill((index) => ({ id: index, on: true, tags: ['a', 'b'], at: { x: index, y: null } })) },
    'code, full of escapes': { prompt: 'if (a === "b") {\n\treturn "c\\d"\n}\n'.repeat(size / 44) },
    'text that is not ASCII': {
      messages: fill((index) => ({ role: 'user', content: `Größe ${index}: 日本語のテキスト, naïve café` })),
    },
  }
}

const median = (values: number[]): number => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!

/** Milliseconds that `work` takes, on average of `times`. */
function timed(work: () => unknown, times: number): number {
  const beganAt = performance.now()
  for (let i = 0; i < times; i++) if (work() !== 'llama3') throw new Error('it found something else')
  return (performance.now() - beganAt) / times
}

/** Measures one body and prints a line of it; returns the ratio. */
function measure(shape: string, json: string): number {
  const bytes = Buffer.from(json)
  const batch = Math.ceil(BATCH / bytes.length)
  const scan = () => jsonField(bytes, 'model')
  const parse = () => (JSON.parse(bytes.toString('utf8')) as { model: string }).model
  const times = { scan: [] as number[], parse: [] as number[] }
  for (let round = -ROUNDS / 4; round < ROUNDS; round++) {
    const [scanned, parsed] = [timed(scan, batch), timed(parse, batch)]
    if (round < 0) continue
    times.scan.push(scanned)
    times.parse.push(parsed)
  }
  const [scanMs, parseMs] = [median(times.scan), median(times.parse)]
  const ratio = scanMs / parseMs
  process.stdout.write(`${shape.padEnd(26)} ${scanMs.toFixed(4)} ms of ${parseMs.toFixed(3)} ms: ${percent(ratio)}\n`)
  return ratio
}

const percent = (ratio: number): string => `${(ratio * 100).toFixed(2)} %`

for (const size of [2 * KIB, KIB * KIB]) {
  for (const place of ['end', 'start']) {
    process.stdout.write(`${size / KIB} KiB, model at the ${place}\n`)
    const bodies = Object.entries(shapes(size)).map(([shape, value]) => {
      const body = place === 'end' ? { ...value, model: 'llama3' } : { model: 'llama3', ...value }
      return [shape, JSON.stringify(body)] as const
    })
    bodies.push(['the same, in ASCII', toAscii(bodies.at(-1)![1])])
    const worst = Math.max(...bodies.map(([shape, json]) => measure(shape, json)))
    process.stdout.write(`worst: ${percent(worst)}\n\n`)
  }
}

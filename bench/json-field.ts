import { jsonField } from '../core/http/json-field.ts'

/**
 * What it costs to find `model` in a JSON body of 1 MiB, beside parsing all of it: `npm run bench:json-field`. Both ways are
 * measured in turns in one run; the ratio of their medians is what counts. At the start is the worst place: all has to be
 * looked at to know that no later field has the same name.
 */
const SIZE = 1024 * 1024
const ROUNDS = 200

const words = 'The quick brown fox jumps over the lazy dog while "nobody" looks; so it goes on and on. '
const message = (index: number) => ({
  role: index % 2 === 0 ? 'user' : 'assistant',
  content: words.slice(index % 40).repeat(1 + (index % 3)),
})

/** As many items as fill the size. */
function fill<T>(make: (index: number) => T): T[] {
  const items: T[] = []
  for (let size = 0; size < SIZE; size += JSON.stringify(items.at(-1)).length + 1) items.push(make(items.length))
  return items
}

const SHAPES: Record<string, object> = {
  'one image in base64': { messages: [{ role: 'user', content: Buffer.alloc((SIZE * 3) / 4, 'pixels').toString('base64') }] },
  'many messages': { messages: fill(message) },
  'many numbers': { input: fill((index) => Math.sin(index)) },
  'small integers (tokens)': { input: fill((index) => (index * 7919) % 50_000) },
  'small objects': { tools: fill((index) => ({ id: index, on: true, tags: ['a', 'b'], at: { x: index, y: null } })) },
  'code, full of escapes': { prompt: 'if (a === "b") {\n\treturn "c\\d"\n}\n'.repeat(SIZE / 44) },
  'text that is not ASCII': {
    messages: fill((index) => ({ role: 'user', content: `Größe ${index}: 日本語のテキスト, naïve café` })),
  },
}

const median = (values: number[]): number => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!

function timed(work: () => unknown): number {
  const beganAt = performance.now()
  if (work() !== 'llama3') throw new Error('it found something else')
  return performance.now() - beganAt
}

function measure(shape: string, body: object): { shape: string; ratio: number } {
  const bytes = Buffer.from(JSON.stringify(body))
  const scan = () => jsonField(bytes, 'model')
  const parse = () => (JSON.parse(bytes.toString('utf8')) as { model: string }).model
  const times = { scan: [] as number[], parse: [] as number[] }
  for (let round = -ROUNDS / 4; round < ROUNDS; round++) {
    const [scanned, parsed] = [timed(scan), timed(parse)]
    if (round < 0) continue
    times.scan.push(scanned)
    times.parse.push(parsed)
  }
  const [scanMs, parseMs] = [median(times.scan), median(times.parse)]
  const ratio = scanMs / parseMs
  const percent = `${(ratio * 100).toFixed(2)} %`
  process.stdout.write(`${shape.padEnd(26)} ${scanMs.toFixed(4)} ms of ${parseMs.toFixed(3)} ms: ${percent}\n`)
  return { shape, ratio }
}

for (const place of ['end', 'start']) {
  process.stdout.write(`model at the ${place}\n`)
  const results = Object.entries(SHAPES).map(([shape, value]) =>
    measure(shape, place === 'end' ? { ...value, model: 'llama3' } : { model: 'llama3', ...value }),
  )
  const worst = Math.max(...results.map(({ ratio }) => ratio))
  process.stdout.write(`worst: ${(worst * 100).toFixed(2)} %\n\n`)
}

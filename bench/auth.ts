import { createHash } from 'node:crypto'
import { compareVariants } from './variants.ts'

/**
 * What auth costs, with a key that is asked for and one that nobody asks for, alone and together with what else is kept and
 * counted: `npm run bench:auth -- 9`, the number of rounds.
 */
const KEY = 'a-key-of-the-benchmark-0123456789'
const hash = `sha256:${createHash('sha256').update(KEY).digest('hex')}`
const auth = { keys: [{ name: 'bench', hash, scopes: ['admin'] }] }

await compareVariants(
  Number(process.argv[2] ?? 9),
  () => ({
    off: { plugins: {}, sample: 0 },
    auth: { plugins: { auth }, sample: 0 },
    'auth, store, activity, metrics': { plugins: { store: {}, activity: {}, metrics: {}, auth }, sample: 0 },
    'auth with a limit': { plugins: { auth: { ...auth, rate_limit: { max: 1e9 } } }, sample: 0 },
  }),
  { 'x-api-key': KEY },
)

// @ts-check
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { compiledSources } from './sources.js'

// npm's `prepare`: at the end of an installation the sources are compiled, so that the first start is as fast as all others. No
// installation fails by it; the start says what is wrong.
await compiledSources(dirname(dirname(fileURLToPath(import.meta.url)))).catch(() => undefined)

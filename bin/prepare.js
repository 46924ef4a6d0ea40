// @ts-check
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { compiledSources } from './sources.js'

// npm's `prepare`: at the end of an installation in a clone the sources are compiled, so that the first start need not. No source
// that can't be is the installation's fault: the start says what is wrong.
await compiledSources(dirname(dirname(fileURLToPath(import.meta.url)))).catch(() => undefined)

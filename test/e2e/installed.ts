import { existsSync } from 'node:fs'
import { join } from 'node:path'

const installed = existsSync(join(import.meta.dirname, 'servers/node_modules'))
const reason = 'run `npm run e2e:install` first: the servers that these tests use are not installed'

// Where they are meant to run, nothing is left out in silence.
if (!installed && process.env.HESTIA_TEST_E2E === '1') throw new Error(reason)

/** Why these tests are left out; false when what they need is there. */
export const skip: false | string = !installed && reason

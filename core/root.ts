import { dirname, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

/** Where Hestia itself lies: its own plugins and strategies are beside its core. */
export const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), '..')

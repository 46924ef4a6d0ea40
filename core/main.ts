import { parseArgs } from 'node:util'
import { defaultConfigFile, run } from './run.ts'

const { values } = parseArgs({ options: { config: { type: 'string', short: 'c' } } })
await run({ configFile: values.config ?? defaultConfigFile() })

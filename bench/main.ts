import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { makeContext } from './context.ts'
import { keepAwake } from './measure/awake.ts'
import { endAll, endWithUs } from './measure/children.ts'
import { pinSelf } from './measure/cores.ts'
import { readOptions } from './options.ts'
import { conditions, disturbance } from './report/machine.ts'
import { sectionText } from './report/markdown.ts'
import type { Section } from './report/section.ts'
import { chosen } from './workloads/index.ts'

/** Hestia beside its peers, in one run: `npm run bench`, described in docs/performance.md. */
const RESULTS = join(import.meta.dirname, 'results.md')

/** A contestant that hangs shall not keep the rest from being measured. */
const LIMIT_MS = 15 * 60_000

function within<T>(limitMs: number, work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`not done after ${limitMs / 60_000} minutes`)), limitMs)
    work.then(resolve, reject).finally(() => clearTimeout(timer))
  })
}

const options = readOptions(process.argv.slice(2))
const workloads = chosen(options.only)
const context = makeContext(options)
endWithUs(() => context.clean())
pinSelf()

const head = ['# Results', conditions(options), disturbance()].filter((part) => part !== undefined)
process.stdout.write(`${head.join('\n\n')}\n\n`)
const sections: Section[] = []
const beganAt = performance.now()
for (const workload of workloads) {
  context.say(`${workload.id}. ${workload.name} ...`)
  if (!workload.letsSleep) keepAwake(context)
  try {
    const own = await within(LIMIT_MS, workload.run(context))
    sections.push(...own)
    process.stdout.write(`${own.map(sectionText).join('\n\n')}\n\n`)
  } catch (error) {
    // The others are worth having; that this one failed is not passed over.
    process.exitCode = 1
    context.say(`${workload.id}. ${workload.name} failed: ${inspect(error)}`)
  } finally {
    await endAll()
  }
}

// Part of it, or less than usual, is not what others are to read.
if (options.only === undefined && !options.quick)
  writeFileSync(RESULTS, `${[...head, ...sections.map(sectionText)].join('\n\n')}\n`)
const missed = sections.flatMap(({ targets }) => targets).filter(({ reached }) => reached === false)
const minutes = ((performance.now() - beganAt) / 60_000).toFixed(1)
process.stdout.write(`${minutes} minutes. Targets missed: ${missed.map(({ what }) => what).join('; ') || 'none'}.\n`)
process.exit()

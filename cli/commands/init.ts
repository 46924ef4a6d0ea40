import { existsSync } from 'node:fs'
import { copyFile, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { createInterface } from 'node:readline/promises'
import { type Command, InvalidArgumentError } from 'commander'
import { ROOT } from '../../core/root.ts'
import type { Answers } from '../config-text.ts'
import { configFileOf, note, print } from '../context.ts'
import { CliError } from '../errors.ts'
import { called } from '../output/called.ts'
import { fromHere, showProblem } from '../output/problems.ts'
import { positive } from './logs.ts'
import { makeSchema, SCHEMA_FILE } from './schema.ts'

interface Options {
  readonly host?: string
  readonly port?: number
  readonly demo?: boolean
  readonly service?: string
  readonly serviceUrl?: string
  readonly start?: string
  readonly health?: string
  readonly idleMinutes?: number
  readonly yes?: boolean
  readonly force?: boolean
}

const HELP = `
On a terminal it asks for what the options do not say; elsewhere, or with --yes, it takes the defaults.
  hestia init --service ollama --service-url http://127.0.0.1:11434 --start "ollama serve" --health /api/tags --idle-minutes 5`

const DEMO = 'demo-service.mjs'

function port(text: string): number {
  if (!/^\d{1,5}$/.test(text) || Number(text) > 65_535) throw new InvalidArgumentError('It must be a number from 0 to 65535.')
  return Number(text)
}

/** `hestia init`: a first configuration. */
export function addInit(program: Command): void {
  program
    .command('init')
    .description('write a configuration that works, with its schema for editors')
    .option('--host <address>', 'address to listen on')
    .option('--port <number>', 'port to listen on', port)
    .option('--demo', 'with a small service to try out')
    .option('--service <name>', 'with a first service of yours')
    .option('--service-url <url>', 'where it answers when it runs')
    .option('--start <command>', 'program that runs it, with arguments; none: something else starts it')
    .option('--health <path>', 'path that answers when it is ready')
    .option('--idle-minutes <count>', 'stop it after so long without a request', positive)
    .option('-y, --yes', 'ask nothing')
    .option('--force', 'write over a configuration that is there')
    .addHelpText('after', HELP)
    .action(async (options: Options, command: Command) => {
      const file = resolve(configFileOf(command))
      if (existsSync(file) && !options.force) throw new CliError(`${fromHere(file)} is there already; --force writes over it.`)
      const mayAsk = !options.yes && process.stdin.isTTY && process.stdout.isTTY
      const answers = mayAsk ? await ask(options) : answersOf(options)
      await write(file, answers)
    })
}

function answersOf(options: Options): Answers {
  const { host = '127.0.0.1', port: chosen = 8080, service, serviceUrl, start, health, idleMinutes } = options
  if (service !== undefined && serviceUrl === undefined)
    throw new CliError('Where does the service answer? Add --service-url http://127.0.0.1:11434.')
  return {
    host,
    port: chosen,
    // Without any service there would be nothing to look at.
    demo: options.demo ?? service === undefined,
    service:
      service === undefined || serviceUrl === undefined
        ? undefined
        : { id: service, url: serviceUrl, start, health, idleMinutes },
  }
}

async function ask(options: Options): Promise<Answers> {
  const terminal = createInterface({ input: process.stdin, output: process.stdout })
  // The iterator keeps lines that are typed ahead.
  const lines = terminal[Symbol.asyncIterator]()
  const question = async (text: string, byDefault: string): Promise<string> => {
    terminal.setPrompt(byDefault === '' ? `${text} ` : `${text} [${byDefault}] `)
    terminal.prompt()
    const { value, done } = await lines.next()
    if (done) throw new CliError('There was no answer, so nothing was written; options of "hestia init" answer too.')
    return value.trim() || byDefault
  }
  try {
    const chosen = options.port ?? port(await question('Which port shall Hestia listen on?', '8080'))
    const id = options.service ?? (await question('What is your first service called? (empty: none yet)', ''))
    if (id === '') {
      const demo = options.demo ?? /^y/i.test(await question('Shall there be a small service to try out?', 'yes'))
      return answersOf({ ...options, port: chosen, demo })
    }
    const serviceUrl = options.serviceUrl ?? (await question(`Where does ${id} answer when it runs?`, 'http://127.0.0.1:11434'))
    const start = options.start ?? (await question(`Which program runs ${id}? (empty: something else starts it)`, ''))
    const health = options.health ?? (await question('Which path answers when it is ready?', '/'))
    const minutes =
      start === '' ? undefined : (options.idleMinutes ?? positive(await question('Stop it after how many quiet minutes?', '5')))
    const rest = { ...(start === '' ? {} : { start }), ...(minutes === undefined ? {} : { idleMinutes: minutes }) }
    return answersOf({ ...options, port: chosen, service: id, serviceUrl, health, ...rest })
  } finally {
    terminal.close()
  }
}

async function write(file: string, answers: Answers): Promise<void> {
  const { configText } = await import('../config-text.ts')
  const folder = dirname(file)
  const before = await readFile(file, 'utf8').catch(() => undefined)
  await mkdir(folder, { recursive: true })
  if (answers.demo && !existsSync(join(folder, DEMO))) await copyFile(join(ROOT, 'examples', DEMO), join(folder, DEMO))
  await writeFile(file, configText(answers, `./${DEMO}`))
  const { check } = await import('../../core/check.ts')
  const { problems } = await check(file, process.env)
  if (problems.length > 0) {
    const said = problems.map((problem) => showProblem(problem, false)).join('\n')
    if (before !== undefined) await writeFile(file, before)
    else await rm(file)
    throw new CliError(`These answers make no configuration that works:\n${said}`)
  }
  await writeFile(join(folder, SCHEMA_FILE), await makeSchema(file))
  note(`wrote ${fromHere(file)} and ${SCHEMA_FILE}`)
  const id = answers.service?.id ?? (answers.demo ? 'demo' : undefined)
  const curl = id === undefined ? '' : `\nthen:           curl http://localhost:${answers.port}/services/${id}/`
  print(`run it with:    ${called()}${file === resolve('hestia_config.yml') ? '' : ` --config ${fromHere(file)}`}${curl}`)
}

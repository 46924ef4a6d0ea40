import { levels } from 'pino'
import type { LogConfig } from '../../schemas/config.ts'
import { messageOf } from '../errors.ts'
import type { EventOf } from '../events.ts'
import { lineOf } from './sentences.ts'

type Finished = EventOf<'request.finished'>

/** So long a line waits for others, in milliseconds, as to put together and write ten of them costs little more than one ... */
const GATHER_MS = 10
/** ... unless so much waits, in characters, of which a line has about so many beside its path. */
const MOST_GATHERED = 64 * 1024
const BESIDE_PATH = 300

/** Where finished lines go. */
export interface Out {
  write(lines: string): unknown
}

/**
 * The one line of each request, as JSON like all others, but put together by hand, as it is the one that is written thousands of
 * times a second. Its fields are chosen so that none can hold a secret: nothing is looked for. Requests that end soon after each
 * other are put into words together, for one write, when nobody waits for them any more.
 */
export class AccessLog {
  readonly #out: Out
  readonly #brief: boolean
  #level: LogConfig['level'] = 'info'
  #pending: Finished[] = []
  /** About as many characters as they will be. */
  #size = 0
  #timer: NodeJS.Timeout | undefined

  /** `brief`: with the sentence only, for people. */
  constructor(out: Out, brief: boolean) {
    this.#out = out
    this.#brief = brief
  }

  /** Writes the lines that wait for others. */
  flush(): void {
    const pending = this.#pending
    if (pending.length === 0) return
    clearTimeout(this.#timer)
    this.#pending = []
    this.#size = 0
    let lines = ''
    for (const event of pending) {
      try {
        lines += this.#text(event)
      } catch (thrown) {
        process.emitWarning(`the line of a request could not be written: ${messageOf(thrown)}`, 'HestiaAccessLog')
      }
    }
    if (lines !== '') this.#out.write(lines)
  }

  #text(event: Finished): string {
    const msg = quoted(lineOf(event).sentence)
    return `{"level":${levels.values[this.#level]},"time":"${isoTime(event.at)}"${this.#brief ? '' : fields(event)},"msg":${msg}}\n`
  }

  #add(event: Finished): void {
    this.#size += event.path.length + BESIDE_PATH
    if (this.#pending.push(event) === 1) this.#timer = setTimeout(flush, GATHER_MS, this).unref()
    if (this.#size > MOST_GATHERED) this.flush()
  }

  /** A writer for the lines of a share of all requests; what waits is written as it was to be. */
  writer({ level, sample }: Readonly<LogConfig['access']>): (event: Finished) => void {
    this.flush()
    this.#level = level
    return (event) => {
      if (sample === 1 || Math.random() < sample) this.#add(event)
    }
  }
}

const flush = (log: AccessLog): void => log.flush()

function fields(event: Finished): string {
  const { requestId, method, path, service, instance, reason, strategy, status, error, upstreamMs, trace } = event
  let line = `,"type":"request.finished","requestId":"${requestId}","method":"${method}","path":${quoted(path)}`
  if (trace) line += `,"trace_id":"${trace.traceId}"`
  if (service !== undefined) line += `,"service":"${service}"`
  if (instance !== undefined) line += `,"instance":${quoted(instance)}`
  if (reason !== undefined) line += `,"reason":"${reason}"`
  if (strategy !== undefined) line += `,"strategy":${quoted(strategy)}`
  line += `,"status":${status}`
  if (error !== undefined) line += `,"error":${JSON.stringify(error)}`
  line += `,"queueMs":${rounded(event.queueMs)}`
  if (upstreamMs !== undefined) line += `,"upstreamMs":${rounded(upstreamMs)}`
  line += `,"totalMs":${rounded(event.totalMs)},"bytesIn":${event.bytesIn},"bytesOut":${event.bytesOut}`
  return `${line},"coldStart":${event.coldStart},"aborted":${event.aborted}`
}

/** As JSON; most texts need no escaping. */
const quoted = (text: string): string => (/^[ !#-[\]-~]*$/.test(text) ? `"${text}"` : JSON.stringify(text))

/** What stands behind whole milliseconds, by hundredths: nothing, `.5`, `.25`. */
const FRACTIONS = Array.from({ length: 100 }, (_, hundredths) => String(hundredths / 100).slice(1))

/** To hundredths; as the text of two whole numbers, which takes half as long as that of one with a fraction. */
function rounded(ms: number): string {
  const hundredths = Math.round(ms * 100)
  const whole = Math.floor(hundredths / 100)
  return `${whole}${FRACTIONS[hundredths - whole * 100]}`
}

let lastAt = 0
let lastTime = ''

/** Many requests end in the same millisecond. */
function isoTime(at: number): string {
  if (at !== lastAt) {
    lastAt = at
    lastTime = new Date(at).toISOString()
  }
  return lastTime
}

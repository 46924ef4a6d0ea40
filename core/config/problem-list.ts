import { redactText } from '../log/redact.ts'
import { type Problem, ProblemError } from '../problem.ts'
import type { Fault, Path } from './check.ts'
import { show } from './describe.ts'
import type { ConfigDocument, Spot } from './document.ts'
import { nameOrigin, type Origin } from './substitute.ts'

const SECRET = /authorization|cookie|token|secret|password|passwd|credential|api_?key|^key$|^hash$/i

/** User and password in something that may be meant as a URL, whatever the password has in it. */
const USER_INFO = /:\/\/[^\s"]*@/g

const masked = (text: string): string => redactText(text.replace(USER_INFO, '://***@'))

/** What stands for the file in problems that come from the environment. */
const ENVIRONMENT = 'environment'

/** The value that is wrong, and what to say behind it. */
export interface Wrong {
  readonly found: unknown
  readonly hint?: string
}

const keyOf = (path: Path): string => path.join('\0')

const bySite = (a: Problem, b: Problem): number =>
  (a.line ?? Number.POSITIVE_INFINITY) - (b.line ?? Number.POSITIVE_INFINITY) || (a.column ?? 0) - (b.column ?? 0) || 0

/**
 * Gathers what is wrong with a document, what was found when it was read included, at most one problem per path, and never prints a value that came from outside
 * the file or looks like a secret.
 */
export class ProblemList {
  readonly #document: ConfigDocument
  /** Where something was wrong when the document was read: what follows from that is not told. */
  readonly #noted: ReadonlySet<string>
  readonly #problems = new Map<string, Problem>()
  readonly #origins = new Map<string, Origin>()

  constructor(document: ConfigDocument) {
    this.#document = document
    this.#noted = new Set(document.noted.map(({ path }) => keyOf(path)))
  }

  get size(): number {
    return this.#noted.size + this.#problems.size
  }

  /** Remembers that the value at a path came from outside the file. */
  readonly note = (path: Path, origin: Origin): void => {
    this.#origins.set(keyOf(path), origin)
  }

  /** Where the value at a path, or the one around it, came from, if not from the file itself. */
  originOf(path: Path): Origin | undefined {
    if (this.#origins.size === 0) return undefined
    for (let length = path.length; length > 0; length--) {
      const origin = this.#origins.get(keyOf(path.slice(0, length)))
      if (origin) return origin
    }
    return undefined
  }

  /** Adds a problem; `spot` is where to point at. */
  add(path: Path, message: string, spot: Spot = 'value', wrong?: Wrong): void {
    const key = keyOf(path)
    if (this.#noted.has(key) || this.#problems.has(key)) return
    const origin = this.originOf(path)
    if (origin) {
      const sentence = `${message}${wrong?.hint ?? ''} (the value comes from ${nameOrigin(origin)})`
      const here = this.#document.problem(path, sentence, spot)
      this.#problems.set(key, origin.override ? { file: ENVIRONMENT, path: path.join('.'), message: sentence } : here)
      return
    }
    const isShown = wrong && !SECRET.test(String(path.at(-1)))
    const found = typeof wrong?.found === 'string' ? masked(wrong.found) : wrong?.found
    const sentence = `${masked(message)}${isShown ? `, found ${show(found)}` : ''}${wrong?.hint ?? ''}`
    // A mapping may have secrets anywhere.
    const value = isShown && (typeof found !== 'object' || found === null) ? { value: found } : {}
    this.#problems.set(key, { ...this.#document.problem(path, sentence, spot), ...value })
  }

  /** Adds what a schema found; `place` tells the path in the document of a path in the value. */
  addFaults(faults: readonly Fault[], place: (fault: Fault) => Path): void {
    for (const fault of faults) {
      const wrong = 'found' in fault ? { found: fault.found } : undefined
      this.add(place(fault), fault.message, fault.kind === 'unknown' ? 'key' : 'value', wrong)
    }
  }

  /** Adds a problem of the environment itself. */
  addEnvironment(path: Path, message: string): void {
    this.#problems.set(keyOf(path), { file: ENVIRONMENT, path: path.join('.'), message })
  }

  /** @throws {ProblemError} with all of them in the order of the file, when there are any. */
  throwIfAny(): void {
    const noted = this.#document.noted.map(({ problem }) => problem)
    if (this.size > 0) throw new ProblemError([...noted, ...this.#problems.values()].toSorted(bySite))
  }
}

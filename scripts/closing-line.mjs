import { Transform } from 'node:stream'

/**
 * A tap reporter: a line for each test file, everything about what failed or was skipped, and `N passed, N failed` at the end.
 */
export default class ClosingLine extends Transform {
  #rest = ''
  #failing = false
  #counts = { pass: 0, fail: 0, skip: 0 }

  constructor() {
    super({ decodeStrings: false })
  }

  _transform(chunk, _encoding, done) {
    const lines = (this.#rest + chunk).split('\n')
    this.#rest = lines.pop() ?? ''
    for (const line of lines) this.#read(line)
    done()
  }

  _flush(done) {
    this.#read(this.#rest)
    const { pass, fail, skip } = this.#counts
    this.push(`\n${pass} passed, ${fail} failed${skip > 0 ? `, ${skip} skipped` : ''}\n`)
    done()
  }

  #read(line) {
    const summary = /^# \{ total: .*\}/.exec(line)
    if (summary) {
      for (const name of ['pass', 'fail', 'skip']) this.#counts[name] = Number(new RegExp(`${name}: (\\d+)`).exec(line)?.[1] ?? 0)
      return
    }
    const point = /^( *)(not )?ok\b/.exec(line)
    if (point) this.#failing = point[2] !== undefined && !/# TODO/i.test(line)
    const isDiagnosis = this.#failing && /^ +/.test(line)
    const isFile = /^(?:not )?ok \d+ - /.test(line)
    const isSkip = point !== null && /# SKIP/i.test(line)
    if (isFile || isDiagnosis || isSkip || this.#failing || line.startsWith('Bail out!')) this.push(`${line}\n`)
  }
}

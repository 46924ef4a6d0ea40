import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Options } from './options.ts'

/** What workloads and contestants are given. */
export interface Context {
  readonly options: Options
  /** A new folder of its own, removed at the end. */
  scratch(): string
  say(text: string): void
  /** Says it once, however often it comes up. */
  sayOnce(text: string): void
  clean(): void
}

export function makeContext(options: Options): Context {
  const dir = mkdtempSync(join(tmpdir(), 'hestia-bench-'))
  const said = new Set<string>()
  let folders = 0
  const say = (text: string) => void process.stderr.write(`${text}\n`)
  return {
    options,
    scratch: () => {
      const folder = join(dir, String(folders++))
      mkdirSync(folder)
      return folder
    },
    say,
    sayOnce: (text) => {
      if (!said.has(text)) say(text)
      said.add(text)
    },
    clean: () => rmSync(dir, { recursive: true, force: true }),
  }
}

import { cpSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const SHIPPED = ['bin', 'core', 'cli', 'plugins', 'schemas', 'strategies', 'examples', 'package.json']

/** Hestia as npm installs it in somebody's project: its own files are copies, all packages those that are here. */
export class InstalledHestia {
  readonly root: string
  /** The command. */
  readonly program: string
  /** Where its compiled sources are kept. */
  readonly cache: string

  constructor(project: string) {
    const modules = join(project, 'node_modules')
    this.root = join(modules, 'hestia')
    this.program = join(this.root, 'bin', 'hestia.js')
    this.cache = join(modules, '.cache', 'hestia')
    for (const name of SHIPPED) cpSync(join(ROOT, name), join(this.root, name), { recursive: true })
    const link = (name: string) => {
      const path = join(modules, name)
      mkdirSync(dirname(path), { recursive: true })
      symlinkSync(join(ROOT, 'node_modules', name), path)
    }
    for (const name of readdirSync(join(ROOT, 'node_modules'))) {
      if (name.startsWith('.') || name === 'hestia') continue
      if (!name.startsWith('@')) link(name)
      else for (const scoped of readdirSync(join(ROOT, 'node_modules', name))) link(`${name}/${scoped}`)
    }
  }

  /** Replaces a part of one of its files, which must be there. */
  edit(file: string, from: string, to: string): void {
    const path = join(this.root, file)
    const text = readFileSync(path, 'utf8')
    if (!text.includes(from)) throw new Error(`${file} does not say ${from}`)
    writeFileSync(path, text.replace(from, to))
  }

  /** Folders of compiled sources in the cache. */
  programs(): string[] {
    return readdirSync(this.cache).filter((name) => name.startsWith('program-'))
  }
}

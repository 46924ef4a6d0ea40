import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const ROOT = fileURLToPath(new URL('../../', import.meta.url))

/** A block of code in a text for people. */
export interface Fence {
  /** `docs/x.md:12`, where it begins. */
  readonly place: string
  readonly file: string
  /** First word behind the fence. */
  readonly lang: string
  /** What else stands there: what the block is, where its language alone doesn't tell. */
  readonly about: string
  readonly text: string
}

const FENCE = /^( *)```(\w+)?[ \t]*([^\n]*)\n([\s\S]*?)^\1```[ \t]*$/gm

/** Texts for people, from the project's root. */
export function documents(): string[] {
  const inside = (folder: string): string[] => readdirSync(join(ROOT, folder)).map((name) => join(folder, name))
  return ['.', 'docs', 'strategies', 'examples'].flatMap(inside).filter((file) => file.endsWith('.md'))
}

export const readDocument = (file: string): string => readFileSync(join(ROOT, file), 'utf8')

export function fencesOf(file: string): Fence[] {
  const text = readDocument(file)
  return [...text.matchAll(FENCE)].map(([, indent = '', lang = '', about = '', body = ''], index) => {
    const at = [...text.matchAll(FENCE)][index]!.index
    const line = text.slice(0, at).split('\n').length
    return {
      place: `${file}:${line}`,
      file,
      lang,
      about: about.trim(),
      text: body.replaceAll(new RegExp(`^${indent}`, 'gm'), ''),
    }
  })
}

/** A text without its blocks of code, with as many lines. */
export const proseOf = (file: string): string => readDocument(file).replaceAll(FENCE, (block) => block.replaceAll(/[^\n]/g, ''))

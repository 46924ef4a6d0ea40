import { readFileSync } from 'node:fs'
import { relative, resolve } from 'node:path'
import { formatProblem, type Problem } from '../../core/problem.ts'
import { style } from './style.ts'

/** A path as it is typed here: relative where that is shorter. */
export function fromHere(file: string): string {
  const path = relative(process.cwd(), resolve(file))
  return path !== '' && !path.startsWith('..') ? path : file
}

function excerpt(file: string, line: number, column: number): string[] {
  try {
    const text = readFileSync(file, 'utf8').split('\n')[line - 1]
    if (text === undefined) return []
    const number = String(line)
    const indent = text.slice(0, column - 1).replaceAll(/[^\t]/g, ' ')
    const bar = style('dim', '|')
    return [`  ${style('dim', number)} ${bar} ${text}`, `  ${' '.repeat(number.length)} ${bar} ${indent}${style('red', '^')}`]
  } catch {
    return []
  }
}

/** `file:line:column path: message`; `withExcerpt`: with the line itself below it. */
export function showProblem(problem: Problem, withExcerpt: boolean): string {
  const { file, line, column } = problem
  const known = resolve(file)
  const place = [fromHere(file), line, column].filter((part) => part !== undefined).join(':')
  const rest = formatProblem({ ...problem, file: '' }).replace(/^(?::\d+)*\s*/, '')
  const lines = withExcerpt && line !== undefined && column !== undefined ? excerpt(known, line, column) : []
  return [`${style('bold', place)} ${rest}`, ...lines].join('\n')
}

import type { Section, Target } from './section.ts'

const verdict = ({ reached }: Target): string => (reached === undefined ? 'not measured' : reached ? 'yes' : '**no**')

/** A table that reads well as it is, too. */
function table(columns: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = columns.map((column, index) => Math.max(3, column.length, ...rows.map((row) => row[index]!.length)))
  const line = (cells: readonly string[]) => `| ${cells.map((cell, index) => cell.padEnd(widths[index]!)).join(' | ')} |`
  return [line(columns), `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`, ...rows.map(line)].join('\n')
}

const targetRow = (target: Target): string[] => [target.what, target.measured, target.wanted, verdict(target)]

/** A section as Markdown, which is what the terminal shows, too. */
export function sectionText({ title, about, columns, rows, targets }: Section): string {
  const aims = targets.length === 0 ? [] : [table(['target', 'measured', 'wanted', 'reached'], targets.map(targetRow))]
  return [`## ${title}`, about, table(columns, rows), ...aims].join('\n\n')
}

import { style, widthOf } from './style.ts'

export interface Column<T> {
  readonly title: string
  readonly cell: (row: T) => string
  /** Numbers stand at the right. */
  readonly align?: 'right'
}

const GAP = '  '

/** Rows under a heading, as wide as what stands in them; empty columns are left out. */
export function table<T>(columns: readonly Column<T>[], rows: readonly T[]): string {
  const filled = columns
    .map((column) => ({ column, cells: rows.map((row) => column.cell(row)) }))
    .filter(({ cells }) => rows.length === 0 || cells.some((cell) => cell !== ''))
  const pad = (text: string, width: number, align: 'right' | undefined): string => {
    const space = ' '.repeat(Math.max(0, width - widthOf(text)))
    return align === 'right' ? space + text : text + space
  }
  const widths = filled.map(({ column, cells }) => Math.max(widthOf(column.title), ...cells.map(widthOf)))
  const line = (texts: readonly string[]): string =>
    texts
      .map((text, index) => pad(text, widths[index] ?? 0, filled[index]?.column.align))
      .join(GAP)
      .trimEnd()
  const head = line(filled.map(({ column }) => style('dim', column.title)))
  const body = rows.map((_row, index) => line(filled.map(({ cells }) => cells[index] ?? '')))
  return [head, ...body].join('\n')
}

import { stripVTControlCharacters, styleText } from 'node:util'

type Format = 'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'cyan'

/** Colours are for terminals; `NO_COLOR` (no-color.org) and `FORCE_COLOR` have the last word. */
export function hasColour(stream: NodeJS.WriteStream): boolean {
  if (process.env.NO_COLOR) return false
  const { FORCE_COLOR: forced } = process.env
  if (forced !== undefined) return forced !== '0' && forced !== 'false'
  return stream.isTTY && process.env.TERM !== 'dumb'
}

// What Node itself thinks of a stream differs between its versions, and asks standard output also about standard error.
const styleOn = (stream: NodeJS.WriteStream, format: Format, text: string): string =>
  hasColour(stream) ? styleText(format, text, { validateStream: false }) : text

/** A text in a colour where standard output shows them. */
export const style = (format: Format, text: string): string => styleOn(process.stdout, format, text)

/** The same for standard error. */
export const styleError = (format: Format, text: string): string => styleOn(process.stderr, format, text)

const STATES: Readonly<Record<string, Format>> = { hot: 'green', starting: 'yellow', stopping: 'yellow', cold: 'dim' }

/** The state of a service or instance in its colour. */
export const styleState = (state: string): string => style(STATES[state] ?? 'bold', state)

// Takes 20 ms, which who writes no tables is not to wait for.
let segmenter: Intl.Segmenter | undefined

/** What a reader takes for single characters. */
export function characters(text: string): string[] {
  segmenter ??= new Intl.Segmenter()
  return Array.from(segmenter.segment(text), ({ segment }) => segment)
}

/** How much room a text takes. */
export const widthOf = (text: string): number => characters(stripVTControlCharacters(text)).length

/** A text from elsewhere on one line, with nothing in it that a terminal would obey. */
export const plain = (text: string): string => stripVTControlCharacters(text).replaceAll(/\p{Cc}+/gu, ' ')

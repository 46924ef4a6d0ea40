/** A file of code as a sample shows it. */
export interface SampleFile {
  readonly path: string
  readonly text: string
}

/** Where a sample that is a whole file belongs: it says so in its first line, or by what it exports; undefined for a piece of code. */
export function sampleFile(text: string): SampleFile | undefined {
  if (!/^export default /m.test(text)) return undefined
  const named = /^\/\/ ((?:plugins|strategies)\/\S+\.ts)\n/.exec(text)?.[1]
  const name = /\bname: '([\w-]+)'/.exec(text)?.[1]
  const folder = /\bdefinePlugin\b|HestiaPlugin/.test(text) ? 'plugins' : 'strategies'
  const path = named ?? (name === undefined ? undefined : `${folder}/${name}.ts`)
  return path === undefined ? undefined : { path, text }
}

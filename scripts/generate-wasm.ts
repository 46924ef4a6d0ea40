import { readFile, writeFile } from 'node:fs/promises'
import wabt from 'wabt'

/**
 * Assembles `core/http/key-scan.wat` into the module beside it that holds its bytes, so that a build has them in it and nobody
 * needs an assembler to run Hestia; with `--check` it only says whether they are up to date.
 */
const SOURCE = 'core/http/key-scan.wat'
const MODULE = 'core/http/key-scan-wasm.ts'

const assembler = await wabt()
const { buffer } = assembler.parseWat(SOURCE, await readFile(SOURCE), { simd: true }).toBinary({})
// Lines no longer than others here.
const lines = Buffer.from(buffer)
  .toString('base64')
  .match(/.{1,120}/g)!
const text = `/** What \`npm run wasm\` makes of key-scan.wat. */
export const KEY_SCAN_WASM = Buffer.from(
  [
${lines.map((line) => `    '${line}',`).join('\n')}
  ].join(''),
  'base64',
)
`

if (!process.argv.includes('--check')) await writeFile(MODULE, text)
else if ((await readFile(MODULE, 'utf8').catch(() => '')) !== text) {
  process.stderr.write(`${MODULE} is out of date; run: npm run wasm\n`)
  process.exitCode = 1
}

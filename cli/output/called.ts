import { basename } from 'node:path'
import { fromHere } from './problems.ts'

/** How this command was called, for hints that work as they are typed: as a link on the path, by npx, or as a file. */
export function called(script: string = process.argv[1] ?? '', env = process.env): string {
  if (env.npm_command === 'exec') return 'npx hestia'
  return basename(script) === 'hestia' ? 'hestia' : `node ${fromHere(script)}`
}

import { hash } from 'node:crypto'

/** SHA-256 of a file's content, in hex: the loader and the watcher agree on what "unchanged" means by it. */
export function contentHash(content: string | Uint8Array): string {
  return hash('sha256', content)
}

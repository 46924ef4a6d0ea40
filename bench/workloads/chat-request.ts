import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Context } from '../context.ts'

export const CHAT_PATH = '/v1/chat/completions'
export const JSON_HEADERS = { 'content-type': 'application/json' }

/**
 * A file with a chat request of about so many bytes. The model comes first: the worst place for whoever looks for it, as a later
 * field of the same name would win, so that all of the text has to be looked at.
 */
export function chatRequestFile(context: Context, bytes: number): string {
  const messages: { role: string; content: string }[] = []
  const words = 'The quick brown fox jumps over the lazy dog while "nobody" looks; so it goes on and on. '
  for (let size = 60; size < bytes; size += JSON.stringify(messages.at(-1)).length + 1) {
    const room = Math.max(1, bytes - size - 60)
    messages.push({ role: messages.length % 2 === 0 ? 'user' : 'assistant', content: words.repeat(8).slice(0, room) })
  }
  const file = join(context.scratch(), 'request.json')
  writeFileSync(file, JSON.stringify({ model: 'small', stream: false, messages }))
  return file
}

import { createHash } from 'node:crypto'
import type { HestiaError } from 'hestia'

const STYLE = `
:root { color-scheme: light dark; --ink: #23262b; --soft: #6b7280; --line: #d9dce1; --ember: #e2622b }
@media (prefers-color-scheme: dark) { :root { --ink: #eceef1; --soft: #9aa1ac; --line: #3a3f47 } }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; font: 16px/1.5 system-ui, sans-serif; color: var(--ink) }
main { max-width: 32rem; padding: 2rem; text-align: center }
h1 { margin: 1.25rem 0 .25rem; font-size: 1.35rem; font-weight: 600 }
p { margin: .25rem 0; color: var(--soft); overflow-wrap: anywhere }
a { color: inherit }
i { display: block; width: 2.5rem; height: 2.5rem; margin: auto; border: 3px solid var(--line); border-top-color: var(--ember); border-radius: 50%; animation: turn 1s linear infinite }
i.failed { border-color: var(--ember); animation: none }
@keyframes turn { to { transform: rotate(1turn) } }
@media (prefers-reduced-motion: reduce) { i { animation-duration: 6s } }
`

/** Asks until the answer is another than "still waiting", and then for the page itself. It stands in line while it asks. */
const SCRIPT = `
const began = Date.now()
setInterval(() => { document.getElementById('for').textContent = Math.round((Date.now() - began) / 1000) + ' s' }, 1000)
const waits = ['still_waiting', 'starting']
for (;;) {
  try {
    const answer = await fetch(location.href, { method: 'HEAD', headers: { Prefer: 'wait=20' }, cache: 'no-store', redirect: 'manual' })
    if (!waits.includes(answer.headers.get('x-hestia-error'))) break
  } catch {}
  await new Promise((resolve) => setTimeout(resolve, 1000))
}
location.reload()
`

const hash = (text: string): string => `'sha256-${createHash('sha256').update(text).digest('base64')}'`

/** Nothing but what stands in the page itself. */
const POLICY = `default-src 'none'; style-src ${hash(STYLE)}; script-src ${hash(SCRIPT)}; connect-src 'self'; frame-ancestors 'self'`

export const PAGE_HEADERS: readonly string[] = [
  ...['Content-Type', 'text/html; charset=utf-8'],
  ...['Cache-Control', 'no-store'],
  ...['Content-Security-Policy', POLICY],
]

/** What a browser shows instead of an error: that it goes on by itself, or why it doesn't. */
export function waitingPage(service: string, error: HestiaError, waits: boolean): string {
  const name = escapeHtml(service)
  const estimate = error.fields.estimated_wait_ms
  const expected = typeof estimate === 'number' ? ` It usually takes ${Math.max(1, Math.round(estimate / 1000))} s more.` : ''
  const main = waits
    ? `<i></i><h1>${name} is being started</h1><p>This page goes on by itself.${expected}</p><p id="for" aria-live="off"></p>`
    : `<i class="failed"></i><h1>${name} can’t be reached</h1><p>${escapeHtml(error.message)}</p><p><a href="">Try again</a></p>`
  const goOn = waits ? `<noscript><meta http-equiv="refresh" content="3"></noscript><script type="module">${SCRIPT}</script>` : ''
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${name}</title><style>${STYLE}</style>${goOn}</head><body><main role="status">${main}</main></body></html>`
}

const ESCAPES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' }
const escapeHtml = (text: string): string => text.replace(/[&<>"']/g, (character) => ESCAPES[character]!)

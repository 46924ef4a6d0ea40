import { signal } from '@preact/signals'

const notice = signal<{ readonly text: string; readonly bad: boolean } | undefined>(undefined)
const SHOWN_MS = 6000
let hide: ReturnType<typeof setTimeout> | undefined

function show(text: string, bad: boolean): void {
  notice.value = { text, bad }
  clearTimeout(hide)
  hide = setTimeout(() => {
    notice.value = undefined
  }, SHOWN_MS)
}

export const say = (text: string): void => show(text, false)

/** Does something that somebody asked for; why it failed is shown. */
export async function attempt(doing: () => Promise<unknown>, done?: string): Promise<void> {
  try {
    await doing()
    if (done !== undefined) say(done)
  } catch (error) {
    show(error instanceof Error ? error.message : String(error), true)
  }
}

/** One line at the foot of the page, read out by screen readers. */
export const Notices = () => (
  <div class="notices" role="status" aria-live="polite">
    {notice.value && <p class={`toast ${notice.value.bad ? 'bad' : ''}`}>{notice.value.text}</p>}
  </div>
)

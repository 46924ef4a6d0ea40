import { signal } from '@preact/signals'

/** The time, in milliseconds since the epoch, once a second while the page is seen. */
export const now = signal(Date.now())

setInterval(() => {
  if (!document.hidden) now.value = Date.now()
}, 1000)

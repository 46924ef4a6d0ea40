import { effect, signal } from '@preact/signals'

const THEMES = ['auto', 'light', 'dark'] as const
export type Theme = (typeof THEMES)[number]
const KEY = 'hestia.theme'

const stored = localStorage.getItem(KEY) as Theme | null
export const theme = signal<Theme>(stored && THEMES.includes(stored) ? stored : 'auto')
/** Grows when colours have changed, whoever changed them; for what is painted. */
export const repaint = signal(0)

export const nextTheme = (): void => {
  theme.value = THEMES[(THEMES.indexOf(theme.value) + 1) % THEMES.length]!
}

effect(() => {
  document.documentElement.dataset.theme = theme.value
  localStorage.setItem(KEY, theme.value)
  repaint.value = repaint.peek() + 1
})
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => repaint.value++)

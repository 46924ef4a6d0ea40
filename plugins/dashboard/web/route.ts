import { computed, signal } from '@preact/signals'

/** The address behind the `#`, as its parts: `#/services/demo` is `['services', 'demo']`. */
export const route = signal(read())

function read(): readonly string[] {
  const parts = location.hash.replace(/^#\/?/, '').split('/').filter(Boolean)
  return parts.map((part) => {
    try {
      return decodeURIComponent(part)
    } catch {
      return part
    }
  })
}

addEventListener('hashchange', () => {
  route.value = read()
  scrollTo(0, 0)
})

export const view = computed(() => route.value[0] ?? 'services')

export const hrefOf = (...parts: readonly string[]): string => `#/${parts.map(encodeURIComponent).join('/')}`

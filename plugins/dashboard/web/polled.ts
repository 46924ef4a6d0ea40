import { type Signal, useSignal } from '@preact/signals'
import { useEffect, useRef } from 'preact/hooks'
import { get } from './api.ts'
import { happenings } from './timeline.ts'

export interface Polled<T> {
  readonly data?: T
  readonly error?: string
}

/** However much happens, it is asked no more often. */
const LEAST_MS = 1000

/** What the API says at a path; asked again after something happened, and every so often. */
export function usePolled<T>(path: string, everyMs: number): Signal<Polled<T>> {
  const answer = useSignal<Polled<T>>({})
  const askedAt = useRef({ path: '', at: 0 })
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout>
    let over = false
    const ask = async () => {
      askedAt.current = { path, at: Date.now() }
      if (!document.hidden) {
        const next = await get<T>(path).then(
          (data): Polled<T> => ({ data }),
          (error: Error): Polled<T> => ({ ...answer.peek(), error: error.message }),
        )
        if (over) return
        answer.value = next
      }
      timer = setTimeout(() => void ask(), everyMs)
    }
    const { path: before, at } = askedAt.current
    timer = setTimeout(() => void ask(), before === path ? Math.max(0, at + LEAST_MS - Date.now()) : 0)
    return () => {
      over = true
      clearTimeout(timer)
    }
  }, [path, happenings.value])
  return answer
}

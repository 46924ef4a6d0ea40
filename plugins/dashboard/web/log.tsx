import { useSignal } from '@preact/signals'
import type { Static } from '@sinclair/typebox'
import { useEffect, useLayoutEffect, useRef } from 'preact/hooks'
import type { Logs } from '../../../schemas/api.ts'
import { get } from './api.ts'
import { dateTime, timeOfDay } from './format.ts'
import { Empty } from './parts.tsx'
import { may, phase } from './session.ts'

interface Line {
  readonly key: number
  readonly at: number
  readonly instance: string
  readonly stream: string
  readonly text: string
}

const MOST = 1000
const RETRY_MS = 1500
const FRAME_MS = 100
// biome-ignore lint/suspicious/noControlCharactersInRegex: that is what terminal colours are
const COLOURS = /\u001b\[[0-9;?]*[A-Za-z]/g // oxlint-disable-line no-control-regex

let number = 0

/** What the programs of a service write, as they write it. */
export const Log = ({ id }: { id: string }) => {
  const lines = useSignal<readonly Line[] | undefined>(undefined)
  const text = useSignal('')
  const box = useRef<HTMLDivElement>(null)
  const isAtEnd = useRef(true)
  useEffect(() => followOutput(id, (read) => (lines.value = read(lines.peek()))), [id])
  useLayoutEffect(() => {
    const element = box.current
    if (element && isAtEnd.current) element.scrollTop = element.scrollHeight
  }, [lines.value, text.value])

  if (!may('read', id)) return <Empty>These credentials do not permit to read it.</Empty>
  const all = lines.value ?? []
  const wanted = text.value.toLowerCase()
  const shown = wanted === '' ? all : all.filter(({ text }) => text.toLowerCase().includes(wanted))
  const instances = new Set(all.map(({ instance }) => instance))
  return (
    <>
      <div class="tools inset">
        <input
          type="search"
          placeholder="Contains"
          aria-label="Only lines that contain"
          value={text.value}
          onInput={({ currentTarget }) => (text.value = currentTarget.value)}
        />
      </div>
      <div
        ref={box}
        class="log"
        role="log"
        aria-live="off"
        aria-label={`Output of ${id}`}
        // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by keyboard
        tabIndex={0}
        onScroll={({ currentTarget: { scrollTop, clientHeight, scrollHeight } }) => {
          isAtEnd.current = scrollTop + clientHeight > scrollHeight - 24
        }}
      >
        {shown.map(({ key, at, stream, instance, text }) => (
          <div key={key} class={stream}>
            <time title={dateTime(at)}>{timeOfDay(at)}</time>
            {instances.size > 1 && <b>{instance}</b>}
            <span>{text}</span>
          </div>
        ))}
        {shown.length === 0 && <p class="soft">{emptyText(lines.value, wanted)}</p>}
      </div>
    </>
  )
}

function emptyText(lines: readonly Line[] | undefined, wanted: string): string {
  if (lines === undefined) return 'Loading …'
  return wanted === '' ? 'Nothing was written yet, or it runs where its output can’t be seen.' : 'No line contains that.'
}

/** Reads what there is and goes on with what comes, until the returned function is called. */
function followOutput(
  id: string,
  update: (change: (before: readonly Line[] | undefined) => readonly Line[]) => void,
): () => void {
  let source: EventSource | undefined
  let retry: ReturnType<typeof setTimeout> | undefined
  let telling: ReturnType<typeof setTimeout> | undefined
  let fresh: Line[] = []
  const tell = () => {
    telling = undefined
    const more = fresh
    fresh = []
    update((before = []) => [...before, ...more].slice(-MOST))
  }
  const open = () => {
    const stream = new EventSource(`v1/events?service=${encodeURIComponent(id)}&types=instance.output`)
    source = stream
    stream.addEventListener('open', () => {
      get<Static<typeof Logs>>(`v1/services/${encodeURIComponent(id)}/logs?lines=${MOST / 2}`).then(
        ({ instances }) => {
          const read = instances.flatMap(({ name, lines }) => lines.map((one) => lineOf(name, one.at, one.stream, one.line)))
          const last = read.reduce((at, line) => Math.max(at, line.at), 0)
          fresh = fresh.filter(({ at }) => at > last)
          update(() => read.toSorted((a, b) => a.at - b.at))
        },
        () => update((before = []) => before),
      )
    })
    stream.addEventListener('instance.output', (message) => {
      const { at, instance, stream, line } = JSON.parse((message as MessageEvent<string>).data) as Record<string, never>
      fresh.push(lineOf(instance ?? '', at ?? 0, stream ?? '', line ?? ''))
      telling ??= setTimeout(tell, FRAME_MS)
    })
    stream.addEventListener('error', () => {
      stream.close()
      clearTimeout(retry)
      if (phase.peek() === 'in') retry = setTimeout(open, RETRY_MS)
    })
  }
  open()
  return () => {
    source?.close()
    clearTimeout(retry)
    clearTimeout(telling)
  }
}

const lineOf = (instance: string, at: number, stream: string, text: string): Line => ({
  key: number++,
  at,
  instance,
  stream,
  text: text.replace(COLOURS, ''),
})

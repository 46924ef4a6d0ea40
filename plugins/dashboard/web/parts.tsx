import { useComputed, useSignal } from '@preact/signals'
import type { ComponentChildren } from 'preact'
import { useEffect, useRef } from 'preact/hooks'
import { now } from './clock.ts'
import { ago, countdown, dateTime } from './format.ts'
import { CopyIcon } from './icons.tsx'
import { say } from './notices.tsx'
import type { State } from './services.ts'

/** A state in a word, with a shape of its own: full, turning, fading or hollow. */
export const StateBadge = ({ state, trouble = false }: { state: State; trouble?: boolean }) => (
  <span class={`state ${state} ${trouble ? 'trouble' : ''}`}>
    <svg viewBox="0 0 16 16" width="14" height="14" aria-hidden="true">
      {trouble ? (
        <path class="mark" d="M8 2 1.5 13.5h13z" />
      ) : (
        <>
          <circle class="ring" cx="8" cy="8" r="5.5" />
          <circle class="core" cx="8" cy="8" r="3" />
        </>
      )}
    </svg>
    {trouble ? 'failed' : state}
  </span>
)

/** How long ago; only its text changes as time goes by. */
export const Ago = ({ at }: { at: number }) => {
  const text = useComputed(() => ago(at, now.value))
  return (
    <time dateTime={new Date(at).toISOString()} title={dateTime(at)}>
      {text}
    </time>
  )
}

export const Countdown = ({ at }: { at: number }) => {
  const text = useComputed(() => countdown(at, now.value))
  return <span class="countdown">{text}</span>
}

/** A small label that only screen readers read. */
export const Hidden = ({ children }: { children: ComponentChildren }) => <span class="hidden">{children}</span>

/** What may be wider than the page scrolls in its own place, by keyboard too. */
export const Scroll = ({ label, children }: { label: string; children: ComponentChildren }) => (
  // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by keyboard
  <section class="scroll" tabIndex={0} aria-label={label}>
    {children}
  </section>
)

export const Empty = ({ children }: { children: ComponentChildren }) => <p class="empty">{children}</p>

export const CopyButton = ({ text, label }: { text: string; label: string }) => {
  const copied = useSignal(false)
  const copy = () =>
    void navigator.clipboard.writeText(text).then(
      () => {
        copied.value = true
        setTimeout(() => (copied.value = false), 1500)
      },
      () => say('This browser doesn’t let the page copy; select the text instead.'),
    )
  return (
    <button type="button" class="ghost" onClick={copy} aria-label={label}>
      <CopyIcon />
      {copied.value ? 'Copied' : 'Copy'}
    </button>
  )
}

/** A question that has to be answered first; Escape says no. */
export const Dialog = (props: { title: string; onClose: () => void; children: ComponentChildren }) => {
  const { title, onClose, children } = props
  const ref = useRef<HTMLDialogElement>(null)
  useEffect(() => ref.current?.showModal(), [])
  return (
    <dialog ref={ref} onClose={onClose} aria-labelledby="dialog-title">
      <h2 id="dialog-title">{title}</h2>
      {children}
    </dialog>
  )
}

export const Confirm = (props: { title: string; text: string; verb: string; onYes: () => void; onClose: () => void }) => (
  <Dialog title={props.title} onClose={props.onClose}>
    <p>{props.text}</p>
    <form method="dialog" class="buttons">
      <button type="submit">Cancel</button>
      <button type="submit" class="primary" onClick={props.onYes}>
        {props.verb}
      </button>
    </form>
  </Dialog>
)

import { setImmediate as turn } from 'node:timers/promises'
import t from 'tap'
import { Draft } from '../../../core/http1/draft.ts'
import { flushAtEndOfCall, flushAtEndOfTurn } from '../../../core/http1/turn.ts'

t.test('all are flushed at the end of the turn, in their order, and those that come meanwhile in the next one', async (t) => {
  const told: string[] = []
  const sender = (name: string, then?: () => void) => ({
    flush: () => {
      told.push(name)
      then?.()
    },
  })
  flushAtEndOfTurn(sender('a', () => flushAtEndOfTurn(sender('late'))))
  flushAtEndOfTurn(sender('b'))
  await Promise.resolve()
  t.same(told, [])
  await turn()
  t.same(told, ['a', 'b'])
  await turn()
  t.same(told, ['a', 'b', 'late'])
})

t.test('those that are alone are flushed as soon as the code that runs now is over', async (t) => {
  const told: string[] = []
  const sender = (name: string) => ({ flush: () => told.push(name) })
  flushAtEndOfTurn(sender('turn'))
  flushAtEndOfCall(sender('a'))
  flushAtEndOfCall(sender('b'))
  t.same(told, [])
  await Promise.resolve()
  t.same(told, ['a', 'b'])
  await turn()
  t.same(told, ['a', 'b', 'turn'])
})

t.test('one that throws does not keep the others from being sent, and is not hidden', async (t) => {
  const thrown: unknown[] = []
  process.setUncaughtExceptionCaptureCallback((error) => thrown.push(error))
  t.teardown(() => process.setUncaughtExceptionCaptureCallback(null))
  let flushed = 0
  const broken = new Error('broken')
  flushAtEndOfTurn({
    flush: () => {
      throw broken
    },
  })
  flushAtEndOfTurn({ flush: () => flushed++ })
  await turn()
  t.equal(flushed, 1)
  t.same(thrown, [broken])
})

t.test('drafts are those of one turn, but for those that were begun while it was flushed', async (t) => {
  const early = new Draft()
  let late: Draft | undefined
  const told: string[] = []
  flushAtEndOfTurn({
    flush: () => {
      late = new Draft()
      late.text('late')
      flushAtEndOfTurn({
        flush: () => {
          late!.text(' enough')
          told.push('flushed')
        },
      })
    },
  })
  await turn()
  early.text('its turn goes on, as somebody waits for the end of it')
  await turn()
  t.same(told, ['flushed'])
  t.equal(late!.length, 11)
  t.throws(() => early.text('x'), /after its turn/)
  t.throws(() => late!.text('x'), /after its turn/)
})

import { asError, type BeforeStartEvent, definePlugin } from 'hestia'
import { ExclusiveOptions, ExclusiveServiceOptions, ExclusiveStatus } from '../../schemas/exclusive.ts'
import { type Board, follow, letGo, newBoard, sectionOf, settle, wantedSince } from './board.ts'
import { Referee } from './referee.ts'
import { neverFits } from './rule.ts'
import { statusOf } from './status.ts'

const schema = {
  operationId: 'getExclusive',
  summary: 'Who has a place on a shared device, and who waits for one',
  tags: ['services'],
  response: { 200: ExclusiveStatus },
}

/**
 * Lets services share what only some of them can have at a time, as one GPU: what of a group starts, runs or stops never takes
 * more than its capacity. A start that finds no room waits; idle instances make way for it, and busy ones in the end.
 */
export default definePlugin({
  name: 'exclusive',
  options: ExclusiveOptions,
  service: ExclusiveServiceOptions,
  check: neverFits,
  setup(app, options) {
    const { hestia } = app
    const { events, generation } = hestia
    const board = hestia.keep('exclusive@2', newBoard, letGo)
    const referee = new Referee(board, options, events)
    board.generations.add(generation)

    const takeOver = (): void => {
      board.look = () => referee.lookSoon()
      // What was started before it was exclusive is there all the same.
      for (const service of hestia.services) {
        for (const instance of service.instances) {
          const section = sectionOf(instance)
          if (section && instance.state !== 'cold' && !board.places.has(instance) && !board.waiting.has(instance))
            settle(board, instance, section)
        }
      }
      follow(board, performance.now())
      referee.look()
    }

    const unsubscribe = events.subscribe(
      (event) => {
        if (event.type === 'instance.state' && board.current === generation) {
          follow(board, performance.now())
          referee.lookSoon()
        }
        if (event.type !== 'reload.applied') return
        board.current = event.generation
        if (event.generation === generation) takeOver()
        else referee.rest()
        if (!board.generations.has(event.generation)) letGo(board)
      },
      ['instance.state', 'reload.applied'],
    )
    app.addHook('onClose', () => {
      unsubscribe()
      referee.rest()
      board.generations.delete(generation)
    })

    hestia.hook('beforeStart', {
      order: 'pre',
      handler: (event) => {
        const isOff = !board.generations.has(board.current)
        if (isOff || !sectionOf(event.instance) || board.places.has(event.instance)) return undefined
        const place = placeFor(board, event)
        board.look()
        return event.standBy(place)
      },
    })

    app.get('/v1/exclusive', { config: { permission: 'read' }, schema }, () => statusOf(board, options, performance.now()))
  },
})

/** Ends when the instance has its place. @throws the signal's reason when the start is given up before. */
function placeFor(board: Board, { instance, signal }: BeforeStartEvent): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = () => {
      board.waiting.delete(instance)
      reject(asError(signal.reason))
      board.look()
    }
    const grant = () => {
      signal.removeEventListener('abort', abort)
      resolve()
    }
    signal.addEventListener('abort', abort, { once: true })
    const since = wantedSince(board, instance, performance.now())
    board.waiting.set(instance, { instance, since, grant, behind: [], reason: '' })
  })
}

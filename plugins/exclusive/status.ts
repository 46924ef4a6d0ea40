import type { ExclusiveOptions, ExclusiveStatus } from '../../schemas/exclusive.ts'
import type { Board } from './board.ts'
import { allGroups, snapshot } from './snapshot.ts'

/** Who has a place, who waits for one and behind whom, and what was decided last. */
export function statusOf(board: Board, options: ExclusiveOptions, now: number): ExclusiveStatus {
  return {
    groups: [...new Set([...Object.keys(options.groups), ...allGroups(board)])].toSorted().map((group) => {
      const { capacity, residents, waiters } = snapshot(board, group, options, now)
      return {
        group,
        capacity,
        used: residents.reduce((sum, { weight }) => sum + weight, 0),
        holders: residents.map(({ place: { instance, hotSince }, weight, held }) => ({
          service: instance.service.id,
          instance: instance.name,
          weight,
          state: instance.state,
          held,
          inFlight: instance.inFlight,
          waiting: instance.waiting,
          hotForMs: hotSince === undefined ? null : Math.round(now - hotSince),
        })),
        waiters: waiters.map(({ waiting, weight, since, maxWaitMs }) => ({
          service: waiting.instance.service.id,
          instance: waiting.instance.name,
          weight,
          waitedMs: Math.round(now - since),
          maxWaitMs,
          behind: [...waiting.behind],
          reason: waiting.reason,
        })),
      }
    }),
    decisions: board.decisions.toReversed().map(({ behind, ...rest }) => (behind ? { ...rest, behind: [...behind] } : rest)),
  }
}

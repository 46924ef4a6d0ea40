import { setTimeout as sleep } from 'node:timers/promises'
import type { Contestant } from '../contestants/contestant.ts'
import { caddy, nginx } from '../contestants/debian.ts'
import { hestia, hestiaChanged, hestiaCompiled, hestiaInstalled, isCompiled } from '../contestants/hestia.ts'
import { fastifyHttpProxy, httpProxy3, portkey } from '../contestants/npm.ts'
import { usageOf } from '../measure/processes.ts'
import { interleave } from '../measure/rounds.ts'
import { median, spread } from '../measure/statistics.ts'
import { below, figure, percent } from '../report/section.ts'
import { startFast } from '../upstreams/start.ts'
import type { Workload } from './workload.ts'

/** Long enough for what is put off until after the start. */
const QUIET_MS = 2_000

/** What it takes until the gateway itself is there, and to have it there. */
export const boot: Workload = {
  id: 'i',
  name: 'boot',
  async run(context) {
    const upstream = await startFast(context)
    const all: Contestant[] = [
      nginx,
      caddy,
      httpProxy3,
      fastifyHttpProxy,
      portkey,
      hestia,
      hestiaInstalled,
      hestiaChanged,
      ...(isCompiled() ? [hestiaCompiled] : []),
    ]
    const contestants = all.filter((contestant) => !contestant.missing?.())
    try {
      const rounds = await interleave(contestants, context.options.rounds, async (contestant, warming) => {
        contestant.prepare?.()
        const beganAt = performance.now()
        const { child } = await contestant.start(upstream.port, context)
        const startMs = performance.now() - beganAt
        if (!warming) await sleep(QUIET_MS)
        const { rssMiB } = usageOf(child!.pid)
        await child!.end()
        return { startMs, rssMiB }
      })
      const of = (name: string, key: 'startMs' | 'rssMiB') => median((rounds.get(name) ?? []).map((round) => round[key]))
      const compiled = hestiaCompiled.name
      return [
        {
          title: 'i. Start and idle memory',
          about: `From the start of the process to its first answer, and its memory (that of all its processes) ${QUIET_MS / 1000} s later. The sources of Hestia are compiled when it is installed, and again by the first start after a change.`,
          columns: ['', 'first answer after, ms', 'spread', 'idle RSS MiB'],
          rows: [...rounds].map(([name, own]) => [
            name,
            figure(of(name, 'startMs')),
            percent(spread(own.map(({ startMs }) => startMs))),
            figure(of(name, 'rssMiB')),
          ]),
          targets: [
            below('start from TypeScript', of('hestia', 'startMs'), 1300, ' ms'),
            below('first start from TypeScript', of(hestiaInstalled.name, 'startMs'), 1300, ' ms'),
            below('start, compiled', of(compiled, 'startMs'), 700, ' ms'),
            below('idle RSS from TypeScript', of('hestia', 'rssMiB'), 130, ' MiB'),
            below('idle RSS, compiled', of(compiled, 'rssMiB'), 95, ' MiB'),
          ],
        },
      ]
    } finally {
      await upstream.end()
    }
  },
}

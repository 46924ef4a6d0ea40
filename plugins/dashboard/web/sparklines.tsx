import { count, duration, plural } from './format.ts'
import { historyOf, SLOT_MS, SLOTS } from './history.ts'

const HEIGHT = 28
const WIDTH = 120

/** Requests of the last minutes as an area; flat while there are none. */
export const RequestLine = ({ id }: { id: string }) => {
  const requests = historyOf(id).requests.value
  const most = Math.max(4, ...requests)
  const x = (i: number) => ((i / (SLOTS - 1)) * WIDTH).toFixed(1)
  const y = (n: number) => (HEIGHT - 2 - (n / most) * (HEIGHT - 5)).toFixed(1)
  const line = requests.map((n, i) => `${x(i)} ${y(n)}`).join('L')
  const sum = requests.reduce((a, b) => a + b, 0)
  const minutes = Math.round((SLOTS * SLOT_MS) / 60_000)
  return (
    <svg
      class={`spark ${sum > 0 ? 'lit' : ''}`}
      viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
      preserveAspectRatio="none"
      role="img"
      aria-label={`${plural(sum, 'request')} in the last ${minutes} minutes`}
    >
      {sum > 0 && <path class="area" d={`M0 ${HEIGHT}L${line}L${WIDTH} ${HEIGHT}Z`} />}
      <path class="line" d={`M${line}`} />
    </svg>
  )
}

/** The last starts as bars, as high as they were long; those that failed stand out. */
export const StartBars = ({ id }: { id: string }) => {
  const starts = historyOf(id).starts.value
  const longest = Math.max(1, ...starts.map(({ durationMs }) => durationMs ?? 0))
  const last = starts.at(-1)
  const failed = starts.filter(({ durationMs }) => durationMs === null).length
  const words =
    last === undefined
      ? 'no start yet'
      : `${plural(starts.length, 'start')}, ${count(failed)} failed, the last ${last.durationMs === null ? 'failed' : `took ${duration(last.durationMs)}`}`
  return (
    <span class="starts">
      <svg class="bars" viewBox="0 0 60 28" role="img" aria-label={words}>
        <path class="base" d="M0 27.5H60" />
        {starts.map(({ at, durationMs }, i) => {
          const height = durationMs === null ? 22 : Math.max(3, (durationMs / longest) * 24)
          const x = (12 - starts.length + i) * 5
          return (
            <rect key={at} class={durationMs === null ? 'bad' : ''} x={x} y={27 - height} width="3.4" height={height} rx="1" />
          )
        })}
      </svg>
      <span class="num soft" aria-hidden="true">
        {last === undefined ? '' : last.durationMs === null ? 'failed' : duration(last.durationMs)}
      </span>
    </span>
  )
}

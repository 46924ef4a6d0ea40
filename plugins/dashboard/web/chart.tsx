import { effect } from '@preact/signals'
import { useEffect, useRef } from 'preact/hooks'
import uPlot from 'uplot'
import { timeOfDay } from './format.ts'
import { historyOf } from './history.ts'
import { repaint } from './theme.ts'

const HEIGHT = 190
const SPAN_S = 300
/** Between two lines of the grid; nothing here comes in quarters. */
const STEPS = [1, 2, 5].flatMap((step) => [step, step * 10, step * 100, step * 1000, step * 10_000]).sort((a, b) => a - b)

/** Requests per second, in flight and waiting, since the page is open. */
export const Chart = ({ id }: { id: string }) => {
  const box = useRef<HTMLDivElement>(null)
  useEffect(() => {
    const element = box.current!
    const { columns } = historyOf(id)
    let plot: uPlot | undefined
    const stopPainting = effect(() => {
      void repaint.value
      plot?.destroy()
      plot = new uPlot(optionsFor(element), columns.peek() as [number[], number[], number[], number[]], element)
    })
    const stopFollowing = effect(() => plot?.setData(columns.value as [number[], number[], number[], number[]]))
    const observer = new ResizeObserver(() => plot?.setSize({ width: element.clientWidth, height: HEIGHT }))
    observer.observe(element)
    return () => {
      observer.disconnect()
      stopFollowing()
      stopPainting()
      plot?.destroy()
    }
  }, [id])
  return <div ref={box} class="chart" role="img" aria-label="Requests per second, in flight and waiting, over the last minutes" />
}

function optionsFor(element: HTMLElement): uPlot.Options {
  const style = getComputedStyle(element)
  const colour = (name: string) => style.getPropertyValue(name).trim()
  const axis = {
    stroke: colour('--soft'),
    grid: { stroke: colour('--line'), width: 1 },
    ticks: { show: false },
    font: '11px system-ui',
  }
  return {
    width: element.clientWidth,
    height: HEIGHT,
    cursor: { y: false, points: { size: 7 } },
    scales: {
      x: { range: (_plot, _min, max) => [(max ?? Date.now() / 1000) - SPAN_S, max ?? Date.now() / 1000] },
      y: { range: (_plot, _min, max) => [0, Math.max(1, max * 1.15)] },
    },
    axes: [
      { ...axis, space: 70, size: 26, values: (_plot, ticks) => ticks.map((tick) => timeOfDay(tick * 1000).slice(0, 5)) },
      { ...axis, size: 38, incrs: STEPS },
    ],
    series: [
      { label: 'time', value: (_plot, at) => (at === null ? '–' : timeOfDay(at * 1000)) },
      {
        label: 'requests/s',
        stroke: colour('--ember'),
        fill: colour('--ember-wash'),
        width: 1.6,
        points: { show: false },
        value: oneDecimal,
      },
      { label: 'in flight', stroke: colour('--ink'), width: 1.3, points: { show: false }, value: whole },
      { label: 'waiting', stroke: colour('--soft'), width: 1.3, dash: [4, 3], points: { show: false }, value: whole },
    ],
  }
}

const whole = (_plot: uPlot, value: number | null): string => (value === null ? '–' : String(value))
const oneDecimal = (_plot: uPlot, value: number | null): string => (value === null ? '–' : value.toFixed(1))

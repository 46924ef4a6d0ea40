import type { Context } from '../context.ts'
import type { Section } from '../report/section.ts'

/** One question that the benchmark answers. */
export interface Workload {
  /** The letter under which `--only` and the results know it. */
  readonly id: string
  readonly name: string
  /** Whether cores may fall asleep: processes with sessions of their own would share them with who keeps them awake (see awake.ts). */
  readonly letsSleep?: true
  run(context: Context): Promise<readonly Section[]>
}

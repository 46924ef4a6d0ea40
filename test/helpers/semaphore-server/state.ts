/** How the runs of a template go. */
export interface Behaviour {
  /** How long it stays queued though nothing is in its way. */
  queueDelayMs?: number
  /** How long it runs. */
  durationMs?: number
  /** `waiting_confirmation` waits for somebody who never comes. */
  outcome?: 'success' | 'error' | 'stopped' | 'waiting_confirmation'
  /** Never leaves this status by itself. */
  hang?: string
  /** What it writes. */
  output?: string
  /** The process goes on when it is asked to stop, until it is forced. */
  ignoresStop?: boolean
  /** What the playbook does to the world, when it runs. */
  run?: (run: EffectiveRun) => void
}

/** What a run really got. */
export interface EffectiveRun {
  readonly task: number
  readonly template: number
  /** Of Ansible: `--extra-vars`; of shells undefined. */
  readonly extraVars: Readonly<Record<string, unknown>> | undefined
  /** Of shells: `name=value`, in any order. */
  readonly argv: readonly string[] | undefined
  /** Undefined: the whole inventory. */
  readonly limit: readonly string[] | undefined
}

export interface TemplateRow {
  readonly id: number
  readonly project_id: number
  readonly name: string
  readonly app?: string
  readonly environment_id?: number
  readonly environment_ids?: readonly number[]
  readonly survey_vars?: readonly object[] | null
  readonly task_params?: { readonly allow_override_limit?: boolean }
  readonly allow_parallel_tasks?: boolean
  readonly allow_any_vars_in_task?: boolean
}

export interface TaskRow {
  readonly id: number
  readonly template_id: number
  readonly project_id: number
  status: string
  readonly environment: string
  readonly message: string
  readonly limit: string
  readonly params: { readonly limit?: readonly string[] } | undefined
  readonly user_id: number
  readonly created: string
  start: string | null
  end: string | null
  readonly output: string[]
}

const OVER = new Set(['success', 'error', 'stopped'])

/**
 * Projects, templates and tasks as Semaphore keeps them: rows in a database, and a queue in memory that a restart forgets. Statuses
 * go `waiting -> starting -> running -> success|error|stopped`; one task of a template at a time, unless it allows more.
 */
export class State {
  readonly projects: { id: number; name: string }[] = [{ id: 1, name: 'home' }]
  readonly templates = new Map<number, TemplateRow>()
  readonly rows = new Map<number, TaskRow>()
  readonly behaviours = new Map<number, Behaviour>()
  /** Everything that was really executed, in order. */
  readonly runs: EffectiveRun[] = []
  /** Tasks whose final status was overwritten by a late stop. */
  readonly rewritten: number[] = []
  /** Tasks that were executed though their row said "stopped". */
  readonly ghosts: number[] = []
  maxParallel = 10
  /** Servers before 2.13 take the limit as it comes. */
  honoursLimit = false
  /** Those that have been queued for as long as they were to be. */
  readonly #due = new Set<number>()
  #queue: number[] = []
  readonly #running = new Set<number>()
  readonly #timers = new Set<NodeJS.Timeout>()
  #nextId = 8

  behaviourOf(template: number): Behaviour {
    return this.behaviours.get(template) ?? {}
  }

  add(given: Omit<TaskRow, 'id' | 'status' | 'created' | 'start' | 'end' | 'output' | 'user_id'>, status = 'waiting'): TaskRow {
    const id = this.#nextId++
    const row: TaskRow = {
      ...given,
      id,
      status,
      user_id: 2,
      created: new Date().toISOString(),
      start: null,
      end: null,
      output: [`Task ${id} added to queue`],
    }
    this.rows.set(id, row)
    if (status !== 'waiting') return row
    this.#queue.push(id)
    this.#after(this.behaviourOf(row.template_id).queueDelayMs ?? 0, () => {
      this.#due.add(id)
      this.#advance()
    })
    return row
  }

  /** Forgets the queue and who runs; the rows stay as they are, for ever. */
  restart(): void {
    for (const timer of this.#timers) clearTimeout(timer)
    this.#timers.clear()
    this.#queue = []
    this.#running.clear()
  }

  /** Old tasks are deleted, by hand or as a template has too many. */
  remove(id: number): void {
    this.rows.delete(id)
    this.#running.delete(id)
    this.#queue = this.#queue.filter((one) => one !== id)
  }

  /** What hangs comes to its end after all. */
  finish(id: number, work: () => void): void {
    work()
    this.#finish(this.rows.get(id)!, 'success')
  }

  stop(id: number, force: boolean): void {
    const row = this.rows.get(id)!
    if (OVER.has(row.status)) this.rewritten.push(id)
    if (this.#running.has(id)) {
      row.status = force ? 'stopped' : 'stopping'
      if (force || !this.behaviourOf(row.template_id).ignoresStop) this.#after(force ? 0 : 5, () => this.#finish(row, 'stopped'))
    } else if (this.#queue.includes(id)) {
      // The job stays in the queue either way; only "stopping" keeps it from being run when its turn comes.
      row.status = force ? 'stopped' : 'stopping'
      this.#after(0, () => this.#advance())
    } else row.status = 'stopped'
  }

  #after(ms: number, work: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer)
      work()
    }, ms)
    this.#timers.add(timer)
  }

  #advance(): void {
    for (const id of [...this.#queue]) {
      const row = this.rows.get(id)!
      const template = this.templates.get(row.template_id)
      const { hang } = this.behaviourOf(row.template_id)
      const isBlocked =
        !template?.allow_parallel_tasks && [...this.#running].some((one) => this.rows.get(one)!.template_id === row.template_id)
      if (isBlocked || this.#running.size >= this.maxParallel) continue
      if (row.status === 'waiting' && (hang === 'waiting' || !this.#due.has(id))) continue
      this.#queue = this.#queue.filter((one) => one !== id)
      if (row.status === 'stopping') row.status = 'stopped'
      else this.#execute(row)
    }
  }

  #execute(row: TaskRow): void {
    const { hang, durationMs = 30, outcome = 'success', output, run } = this.behaviourOf(row.template_id)
    this.#running.add(row.id)
    if (row.status === 'stopped') this.ghosts.push(row.id)
    else row.status = 'starting'
    if (hang === 'starting') return
    this.#after(2, () => {
      if (row.status !== 'starting' && !this.ghosts.includes(row.id)) return
      if (row.status === 'starting') row.status = 'running'
      row.start = new Date().toISOString()
      row.output.push(`Started: ${row.id}`)
      const effective = this.#effective(row)
      this.runs.push(effective)
      run?.(effective)
      if (output) row.output.push(...output.split('\n'))
      if (outcome === 'waiting_confirmation') row.status = outcome
      else if (hang !== undefined) row.status = hang
      else this.#after(durationMs, () => row.status === 'running' && this.#finish(row, outcome))
    })
  }

  #finish(row: TaskRow, status: string): void {
    if (!OVER.has(row.status)) row.status = status
    this.#running.delete(row.id)
    // The end is written after the status.
    this.#after(3, () => {
      row.end = new Date().toISOString()
    })
    this.#advance()
  }

  #effective(row: TaskRow): EffectiveRun {
    const template = this.templates.get(row.template_id)!
    const variables = (row.environment === '' ? {} : JSON.parse(row.environment)) as Record<string, unknown>
    const isShell = template.app !== undefined && template.app !== 'ansible' && template.app !== 'terraform'
    const asked = row.params?.limit ?? (row.limit === '' ? undefined : row.limit.split(','))
    return {
      task: row.id,
      template: row.template_id,
      extraVars: isShell ? undefined : variables,
      argv: isShell
        ? Object.entries(variables)
            .map(([name, value]) => `${name}=${goString(value)}`)
            .toReversed()
        : undefined,
      limit: this.honoursLimit || template.task_params?.allow_override_limit ? asked : undefined,
    }
  }
}

/** What Go's `%s` makes of a value of JSON. */
function goString(value: unknown): string {
  if (typeof value === 'string') return value
  return `%!s(${typeof value === 'number' ? 'float64' : 'bool'}=${String(value)})`
}

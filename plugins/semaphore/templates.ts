import type { SemaphoreClient } from './client.ts'
import { SemaphoreError } from './errors.ts'
import type { Named, Template } from './read.ts'

/** How long what is known of a template counts, in milliseconds. */
const FRESH_MS = 300_000

type Ref = number | string

/** Projects and templates by number or name, as the server has them; asked once in a while. */
export class Templates {
  readonly #client: SemaphoreClient
  readonly #now: () => number
  readonly #known = new Map<string, { readonly at: number; readonly value: Promise<unknown> }>()

  constructor(client: SemaphoreClient, now = () => performance.now()) {
    this.#client = client
    this.#now = now
  }

  /** @throws {SemaphoreError} `misconfigured` when no project, or more than one, has the name. */
  async project(ref: Ref): Promise<number> {
    const id = numberIn(ref)
    if (id !== undefined) return id
    const all = await this.#remember('projects', () => this.#client.projects())
    return this.#theOne(all, String(ref), 'project', 'Semaphore (as far as its user is a member of it)')
  }

  /** @throws {SemaphoreError} `misconfigured` when no template of the project, or more than one, has the name. */
  async template(project: number, ref: Ref): Promise<Template> {
    const where = `project ${project} of Semaphore`
    const id = numberIn(ref) ?? this.#theOne(await this.#list(project), String(ref), 'template', where)
    return this.#remember(`${project}/${id}`, () => this.#client.template(project, id))
  }

  /** Undefined when it can't be told: such a server is taken for a new one, which is the stricter guess. */
  version(): Promise<string | undefined> {
    return this.#remember('version', () => this.#client.version().catch(() => undefined))
  }

  /** Asks anew the next time: something turned out to be otherwise. */
  forget(): void {
    this.#known.clear()
  }

  #list(project: number): Promise<readonly Named[]> {
    return this.#remember(`${project}`, () => this.#client.templates(project))
  }

  #remember<T>(key: string, ask: () => Promise<T>): Promise<T> {
    const known = this.#known.get(key)
    if (known && this.#now() - known.at < FRESH_MS) return known.value as Promise<T>
    const value = ask()
    this.#known.set(key, { at: this.#now(), value })
    value.catch(() => this.forget())
    return value
  }

  #theOne(all: readonly Named[], name: string, what: string, where: string): number {
    const found = all.filter((one) => one.name === name)
    if (found.length === 1) return found[0]!.id
    // Whoever is told to change it in Semaphore will have done so at the next try.
    this.forget()
    const hint =
      found.length === 0 ? `there are: ${all.map((one) => `"${one.name}"`).join(', ') || 'none'}` : 'say which by its number'
    throw new SemaphoreError(
      'misconfigured',
      `${found.length === 0 ? 'no' : 'more than one'} ${what} in ${where} is called "${name}"; ${hint}`,
    )
  }
}

/** A text of digits is a number: that is how a variable of the environment gives it. */
function numberIn(ref: Ref): number | undefined {
  if (typeof ref === 'number') return ref
  return /^\d+$/.test(ref) ? Number(ref) : undefined
}

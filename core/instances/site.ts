import type { ResolvedInstance, Section } from '../config/types.ts'
import type { Events } from '../events.ts'
import type { Owner, StarterData } from './lifecycle.ts'

/** Which instance of which service, where it answers, whether it is well, and what is configured and recorded of it. */
export abstract class Site<I> {
  readonly service: Owner<I>
  readonly name: string
  /** Records of the starters, by plugin; emptied when the instance is cold. */
  data: Record<string, StarterData> = {}
  /** False after failures, until a probe or a start goes well. */
  healthy = true
  protected readonly events: Events
  protected readonly who: { readonly service: string; readonly instance: string }
  #settings: ResolvedInstance
  #url: string

  constructor(service: Owner<I>, settings: ResolvedInstance, events: Events) {
    this.service = service
    this.name = settings.name
    this.events = events
    this.who = { service: service.id, instance: settings.name }
    this.#settings = settings
    this.#url = settings.url
  }

  /** Unique over all services. */
  get id(): string {
    return `${this.service.id}/${this.name}`
  }

  /** Where it answers. A changed URL counts from the next start on, or at once where Hestia starts nothing. */
  get url(): string {
    return this.#url
  }

  get settings(): ResolvedInstance {
    return this.#settings
  }

  /** The section of a plugin, as the configuration has it now. */
  section<T = Section>(plugin: string): T | undefined {
    return this.#settings.sections[plugin] as T | undefined
  }

  /** Whether a starter brings it up; else it is up or not, whatever Hestia does, and asking again harms nobody. */
  get isManaged(): boolean {
    return this.service.config.starters.length > 0
  }

  setHealth(healthy: boolean, reason: string): void {
    if (this.healthy === healthy) return
    this.healthy = healthy
    this.events.emit('instance.health', { ...this.who, healthy, reason })
  }

  protected get isCold(): boolean {
    return true
  }

  /** Takes changed settings: soft ones count at once. */
  update(settings: ResolvedInstance): void {
    this.#settings = settings
    if (this.isCold || !this.isManaged) this.#url = settings.url
  }

  /** The next start is at the configured place; what an earlier gateway left is where it was. */
  protected moveTo(url = this.#settings.url): void {
    this.#url = url
  }
}

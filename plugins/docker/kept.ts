import type { EventEmitter } from 'node:events'
import type { Events, Instance } from 'hestia'
import type { Pool } from 'undici'
import type { DockerServiceOptions } from '../../schemas/docker.ts'
import type { Target } from './target.ts'

/** `instance.data.docker`: which container was brought up, and how to get at it. */
export interface DockerRecord {
  readonly target: Target
  readonly id: string
  readonly name: string
  /** Whether Hestia made it. */
  readonly made: boolean
}

/** Somebody looks after a container that is up. */
export interface Watch {
  readonly controller: AbortController
  /** Emits `news` when something has happened to the container. */
  readonly emitter: EventEmitter
}

/** What outlives generations; refers to nothing of one. */
export interface Kept {
  readonly events: Events
  readonly pools: Map<string, Pool>
  readonly watches: Map<Instance, Watch>
  /** Calls that have a container run; what comes after them waits for their end. */
  readonly starting: Map<Instance, Promise<unknown>>
  /** Settings with which an instance was brought up. */
  readonly started: Map<Instance, DockerServiceOptions>
  /** The gateway itself ends, and has stopped what it wanted stopped. */
  gatewayEnds: boolean
}

export const createKept = (events: Events): Kept => ({
  events,
  pools: new Map(),
  watches: new Map(),
  starting: new Map(),
  started: new Map(),
  gatewayEnds: false,
})

/** The section of an instance that names a container, by whatever; the plugin's defaults alone name none. */
export function sectionOf(instance: Instance): DockerServiceOptions | undefined {
  const section = instance.section<DockerServiceOptions>('docker')
  return section && sourcesOf(section).length > 0 ? section : undefined
}

/** Which of the three ways of naming a container a section uses; it has to be one. */
export const sourcesOf = (section: DockerServiceOptions): string[] =>
  (['container', 'label', 'image'] as const).filter((key) => section[key] !== undefined)

export const recordOf = (instance: Instance): DockerRecord | undefined => instance.data.docker as DockerRecord | undefined

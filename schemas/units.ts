import { type SchemaOptions, type Static, Type } from '@sinclair/typebox'

/** A duration in whole milliseconds, zero or more; at most what a timer can take (24.8 days). */
export const Milliseconds = (options: SchemaOptions = {}) => Type.Integer({ minimum: 0, maximum: 2 ** 31 - 1, ...options })

/** A size in bytes, zero or more. */
export const Bytes = (options: SchemaOptions = {}) => Type.Integer({ minimum: 0, ...options })

/** An absolute `http:` or `https:` URL without user, query or fragment; the config reader checks more than the pattern. */
export const HttpUrl = (options: SchemaOptions = {}) =>
  Type.String({ title: 'an http(s) URL without user, query or fragment', pattern: '^https?://[^\\s?#@]+$', ...options })

/** A program and its arguments; no shell is involved. */
export const Argv = (options: SchemaOptions = {}) => Type.Array(Type.String(), { minItems: 1, ...options })

/** What a machine has, or a service asks for: a flag, an amount or a word. */
export const Capability = Type.Union([Type.Boolean(), Type.Number(), Type.String()])
export type Capability = Static<typeof Capability>

import { type Caller, HestiaError, isAllowed } from 'hestia'
import type { Catalogue } from './catalogue.ts'
import type { Discovery } from './discovery.ts'

/** More names than this help nobody. */
const MAX_NAMED = 40

const listed = (names: readonly string[]): string =>
  names.length > MAX_NAMED ? `${names.slice(0, MAX_NAMED).join(', ')} and ${names.length - MAX_NAMED} more` : names.join(', ')

/** What there is instead for this caller, and which services may have more; clients show nothing but this sentence. */
function whatThereIs(catalogue: Catalogue, discovery: Discovery, caller: Caller | null): string {
  const models = catalogue.list(caller).map(({ id }) => id)
  const unknown = catalogue.services().filter((service) => discovery.isUnknown(service) && isAllowed(caller, 'use', service.id))
  const there = models.length === 0 ? 'No model is known' : `There are: ${listed(models)}`
  if (unknown.length === 0) return `${there}.`
  const ids = listed(unknown.map(({ id }) => id))
  const [first] = unknown
  return (
    `${there}. Not known yet are the models of ${ids}: they are asked for when the service runs; start it ` +
    `(POST /v1/services/${first!.id}/start) or name them (services.${first!.id}.models).`
  )
}

/** The error for a model that nobody has. */
export const modelNotFound = (model: string, catalogue: Catalogue, discovery: Discovery, caller: Caller | null): HestiaError =>
  new HestiaError('model_not_found', {
    message: `No service has the model "${model}". ${whatThereIs(catalogue, discovery, caller)}`,
    fields: { param: 'model' },
  })

/** The error for a request that says nothing of a model. */
export const modelMissing = (catalogue: Catalogue, discovery: Discovery, caller: Caller | null): HestiaError =>
  new HestiaError('invalid_request', {
    message: `The request names no "model", so there is no telling which service is meant. ${whatThereIs(catalogue, discovery, caller)}`,
    fields: { param: 'model' },
  })

/** The error for a path below `/v1/responses/`. */
export const responseUnknown = (path: string): HestiaError =>
  new HestiaError('not_found', {
    message:
      `Hestia doesn't remember which service made a response: ask that service itself (/services/<id>${path}), ` +
      'or name the model of the response (?model=<model>).',
  })

import type { IncomingMessage } from 'node:http'
import { climbs, HestiaError, type RequestView } from 'hestia'

/**
 * Holds the body in memory, up to `limit` bytes.
 * @throws {HestiaError} `body_too_large`, `invalid_request` when the client broke off.
 */
export async function holdBody(request: RequestView, limit: number): Promise<void> {
  try {
    await request.readBody(limit)
  } catch (thrown) {
    if (!(thrown instanceof HestiaError && thrown.code === 'body_too_large')) throw thrown
    throw new HestiaError('body_too_large', {
      message: `A body may have at most ${limit} bytes here, as it is held while its model is looked for; see plugins.model-router.max_body_bytes.`,
      fields: thrown.fields,
    })
  }
}

/**
 * Refuses what could be another request to a service than it is here, where it is permitted for its model.
 * @throws {HestiaError} `bad_path` for a path that leads elsewhere, `invalid_request` where two types are given for one body: some
 * services read it by the first, some by the last.
 */
export function refuseTwoMeanings({ url = '/', headersDistinct }: IncomingMessage): void {
  if (climbs(url)) throw new HestiaError('bad_path', { message: 'The path has ".." in it; name the address that is meant.' })
  if ((headersDistinct['content-type']?.length ?? 0) > 1)
    throw new HestiaError('invalid_request', { message: 'The request has more than one Content-Type; send one.' })
}

/** The model that a request names: in its body, else, where there is none, in its query. */
export function modelOf(request: RequestView): string | undefined {
  // What Ollama called it first.
  const named = request.field('model') ?? (request.path === '/api/show' ? request.field('name') : undefined)
  if (named !== undefined) return named === '' ? undefined : named
  return request.query.get('model') || undefined
}

/**
 * Whether no reader of this request could find another model in it than {@link modelOf} does: a service may take the first of
 * two fields where Hestia takes the last, `Model` for `model` (as Go's JSON does), or a body for JSON that doesn't say so.
 */
export function namesOneModel(request: RequestView, model: string): boolean {
  const inQuery = [...request.query].filter(([name]) => /^model$/i.test(name))
  if (!request.hasBody) return inQuery.length === 1 && inQuery[0]![0] === 'model'
  const isShow = request.path === '/api/show'
  const naming = request.fieldNames?.filter((name) => /^model$/i.test(name) || (isShow && /^name$/i.test(name)))
  const [name] = naming ?? []
  return (
    naming?.length === 1 && (name === 'model' || (isShow && name === 'name')) && inQuery.every(([, value]) => value === model)
  )
}

import { HestiaError, type RequestView } from 'hestia'
import { fieldsInForm, fieldsInJson, type Span, spanInForm, spanInJson } from './span.ts'

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
export function namesOneModel(request: RequestView): boolean {
  const { rawBody, headers } = request
  if (rawBody === undefined) return true
  if (!Buffer.isBuffer(rawBody) || !request.hasReadableBody) return false
  const boundary = boundaryOf(headers['content-type'])
  const isShow = request.path === '/api/show'
  const all = boundary === undefined ? fieldsInJson(rawBody) : fieldsInForm(rawBody, boundary)
  const naming = all.filter((name) => /^model$/i.test(name) || (isShow && /^name$/i.test(name)))
  return naming.length === 1 && (naming[0] === 'model' || (isShow && naming[0] === 'name'))
}

/**
 * The body of a request with another model in it; every other byte is as it came.
 * @returns undefined when the name is not where it could be replaced: in a query, or in a form without files.
 */
export function withModel(request: RequestView, model: string): Buffer | undefined {
  const { rawBody, headers } = request
  if (!Buffer.isBuffer(rawBody)) return undefined
  const boundary = boundaryOf(headers['content-type'])
  const span: Span | undefined = boundary === undefined ? spanInJson(rawBody, 'model') : spanInForm(rawBody, boundary, 'model')
  if (!span) return undefined
  const value = boundary === undefined ? JSON.stringify(model) : model
  return Buffer.concat([rawBody.subarray(0, span.from), Buffer.from(value), rawBody.subarray(span.to)])
}

function boundaryOf(type = ''): string | undefined {
  if (!/^multipart\/form-data\b/i.test(type)) return undefined
  const match = /;\s*boundary=(?:"([^"]+)"|([^;\s]+))/i.exec(type)
  return match?.[1] ?? match?.[2]
}

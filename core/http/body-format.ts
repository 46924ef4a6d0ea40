import type { IncomingHttpHeaders } from 'node:http'
import { multipartField, multipartSpan, urlencodedField } from './form-field.ts'
import { jsonField, jsonSpan } from './json-field.ts'

/** What a body is, as far as routing can look into it. */
export type BodyFormat =
  | { readonly type: 'json' | 'urlencoded' }
  | { readonly type: 'multipart'; readonly boundary: string }
  | undefined

/** Says by its headers what a body is; undefined for what is compressed and for every other type, which can't be read. */
export function bodyFormat(headers: IncomingHttpHeaders): BodyFormat {
  const type = headers['content-type'] ?? ''
  const encoding = headers['content-encoding']
  if (encoding !== undefined && encoding.toLowerCase() !== 'identity') return undefined
  if (/^application\/(?:[^;\s]+\+)?json\b/i.test(type)) return { type: 'json' }
  if (/^application\/x-www-form-urlencoded\b/i.test(type)) return { type: 'urlencoded' }
  if (!/^multipart\/form-data\b/i.test(type)) return undefined
  // Of two some take the first and some the last.
  if (type.split(/;\s*boundary[*\d]*\s*=/i).length !== 2) return undefined
  const [, quoted, token] = /;\s*boundary=(?:"((?:[^"\\]|\\.)+)"|([^\s;"]+))/i.exec(type) ?? []
  const boundary = quoted?.replace(/\\(.)/g, '$1') ?? token
  return boundary === undefined ? undefined : { type: 'multipart', boundary }
}

/** One top-level field of a body. */
export function fieldOf(bytes: Buffer, format: BodyFormat, name: string): string | undefined {
  if (format?.type === 'multipart') return multipartField(bytes, format.boundary, name)
  if (!isJson(bytes, format)) return format && urlencodedField(bytes, name)
  return jsonField(bytes, name)
}

/**
 * A body with another text in place of one field; every other byte is as it was. Undefined when there is no such field, or in a
 * form that is not multipart.
 */
export function withField(bytes: Buffer, format: BodyFormat, name: string, text: string): Buffer | undefined {
  if (fieldOf(bytes, format, name) === undefined) return undefined
  const json = isJson(bytes, format)
  const form = format?.type === 'multipart' ? multipartSpan(bytes, format.boundary, name) : undefined
  const span = json ? jsonSpan(bytes, name) : form
  return (
    span &&
    Buffer.concat([bytes.subarray(0, span.from), Buffer.from(json ? JSON.stringify(text) : text), bytes.subarray(span.to)])
  )
}

/** The value of a body that is JSON; undefined when it isn't. */
export function jsonOf(bytes: Buffer, format: BodyFormat): unknown {
  if (!isJson(bytes, format)) return undefined
  try {
    return JSON.parse(bytes.toString('utf8').replace(/^\ufeff/, '')) as unknown
  } catch {
    return undefined
  }
}

/** `curl -d '{...}'` calls JSON a form unless it is told otherwise. */
export const isJson = (bytes: Buffer, format: BodyFormat): boolean =>
  format?.type === 'json' || (format?.type === 'urlencoded' && /^\s*\{/.test(bytes.toString('latin1', 0, 64)))

import type { FastifyInstance } from 'fastify'
import { HestiaError } from '../errors.ts'

/**
 * Tells "nothing here" from "not with this method" (RFC 9110, 15.5.6): when no route matched, looks for those with the same path.
 */
export function answerNotFound(app: FastifyInstance): void {
  const patterns = new Map<string, RegExp>()
  app.setNotFoundHandler((request, reply) => {
    const path = request.url.split('?', 1)[0]!
    const allowed = new Set<string>()
    for (const { url, methods } of app.routeTable) {
      const pattern = patterns.get(url) ?? patternOf(url)
      patterns.set(url, pattern)
      if (pattern.test(path)) for (const name of methods) allowed.add(name)
    }
    if (allowed.size === 0) throw new HestiaError('not_found', { message: `There is nothing at ${path}.` })
    const allow = [...allowed].sort().join(', ')
    reply.header('allow', allow)
    throw new HestiaError('method_not_allowed', { message: `${path} takes ${allow}, not ${request.method}.` })
  })
}

const patternOf = (url: string): RegExp =>
  new RegExp(
    `^${url
      .replace(/[.+?^${}()|[\]\\]/g, '\\$&')
      .replace(/:[^/]+/g, '[^/]+')
      .replace(/\*/g, '.*')}$`,
  )

import type { FastifyInstance } from 'fastify'
import { HestiaError } from '../errors.ts'

/**
 * Tells "nothing here" from "not with this method" (RFC 9110, 15.5.6): collects the routes as they are registered and, when
 * none matched, looks for one with the same path.
 */
export function answerNotFound(app: FastifyInstance): void {
  const methods = new Map<string, Set<string>>()
  const patterns = new Map<string, RegExp>()
  app.addHook('onRoute', ({ url, method }) => {
    const known = methods.get(url) ?? new Set()
    for (const name of [method].flat()) known.add(name)
    methods.set(url, known)
  })
  app.setNotFoundHandler((request, reply) => {
    const path = request.url.split('?', 1)[0]!
    const allowed = new Set<string>()
    for (const [url, known] of methods) {
      const pattern = patterns.get(url) ?? patternOf(url)
      patterns.set(url, pattern)
      if (pattern.test(path)) for (const name of known) allowed.add(name)
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

import { request } from 'node:http'
import { until } from '../../test/helpers/until.ts'
import type { Child } from './children.ts'

/** One request on a connection of its own; answers the status once all of the answer is there. */
export function ask(url: string, options: { method?: string; headers?: Readonly<Record<string, string>> } = {}) {
  return new Promise<{ status: number; body: string }>((resolve, reject) => {
    const outgoing = request(url, { ...options, agent: false }, (response) => {
      let body = ''
      response.setEncoding('utf8').on('data', (chunk: string) => (body += chunk))
      response.once('end', () => resolve({ status: response.statusCode!, body }))
      response.once('error', reject)
    })
    outgoing.once('error', reject).end()
  })
}

/** Waits until a GET is answered 200. @throws if the server has ended. */
export const untilServes = (url: string, child: Child): Promise<unknown> =>
  until(
    () => {
      if (child.hasEnded()) throw new Error(`it ended instead of serving: ${child.errors()}`)
      return ask(url).then(
        ({ status }) => status === 200,
        () => false,
      )
    },
    `${url} to answer`,
    60_000,
  )

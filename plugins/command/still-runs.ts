import { connect } from 'node:net'
import type { Instance } from 'hestia'
import { asksStatus } from './actions.ts'
import { recordOf, sectionOf } from './kept.ts'

/** A machine that is up takes a connection sooner than this. */
const CONNECT_MS = 3000

/**
 * Whether what an earlier gateway brought up runs still: its status command says so or, where there is none, it takes connections.
 * @throws when the status command could not be run, or did not end in time.
 */
export async function stillRuns(instance: Instance): Promise<boolean> {
  const [section, record] = [sectionOf(instance), recordOf(instance)]
  if (!section || !record) return false
  return section.status === undefined ? takesConnections(instance.url) : asksStatus(instance, section, record)
}

function takesConnections(url: string): Promise<boolean> {
  const { hostname, port, protocol } = new URL(url)
  const host = hostname.replace(/^\[|\]$/g, '')
  return new Promise((resolve) => {
    const socket = connect({ host, port: Number(port) || (protocol === 'https:' ? 443 : 80) })
    const answer = (taken: boolean) => {
      socket.destroy()
      resolve(taken)
    }
    socket.setTimeout(CONNECT_MS, () => answer(false))
    socket.once('connect', () => answer(true))
    socket.once('error', () => answer(false))
  })
}

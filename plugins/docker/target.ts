import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { messageOf } from 'hestia'
import { buildConnector, Pool } from 'undici'
import type { DockerOptions } from '../../schemas/docker.ts'
import { EngineError } from './errors.ts'

/** Which daemon, and how to get at it: plain JSON, as it is recorded. Files are absolute. */
export interface Target {
  readonly host: string
  readonly tls?: { readonly ca_file?: string; readonly cert_file?: string; readonly key_file?: string }
}

/** The daemon of a section; `folder` is where relative paths start. */
export function targetOf({ host, tls }: Pick<DockerOptions, 'host' | 'tls'>, folder: string): Target {
  if (!tls) return { host }
  const absolute = Object.fromEntries(Object.entries(tls).map(([key, file]) => [key, resolve(folder, file)]))
  return { host, tls: absolute }
}

/** Connections to a daemon; those that there are already, as long as its settings are the same. */
export function poolFor(pools: Map<string, Pool>, target: Target): Pool {
  const key = JSON.stringify(target)
  let pool = pools.get(key)
  if (!pool) {
    pool = makePool(target)
    pools.set(key, pool)
  }
  return pool
}

function makePool({ host, tls }: Target): Pool {
  // Bounds are set for each request: some of them are meant to last.
  const patient = { headersTimeout: 0, bodyTimeout: 0, pipelining: 1 }
  if (host.startsWith('unix://')) return new Pool('http://localhost', { ...patient, socketPath: host.slice('unix://'.length) })
  const authority = host.slice('tcp://'.length).replace(/\/$/, '')
  if (!tls) return new Pool(`http://${authority}`, patient)
  return new Pool(`https://${authority}`, { ...patient, connect: (options, done) => connector(tls, options, done) })
}

/** Files are read for each connection, so that renewed ones count. */
function connector(
  { ca_file, cert_file, key_file }: NonNullable<Target['tls']>,
  options: buildConnector.Options,
  done: buildConnector.Callback,
): void {
  let files: { ca?: Buffer; cert?: Buffer; key?: Buffer }
  try {
    files = {
      ...(ca_file === undefined ? {} : { ca: read(ca_file) }),
      ...(cert_file === undefined ? {} : { cert: read(cert_file) }),
      ...(key_file === undefined ? {} : { key: read(key_file) }),
    }
  } catch (error) {
    done(error as Error, null)
    return
  }
  buildConnector(files)(options, done)
}

function read(file: string): Buffer {
  try {
    return readFileSync(file)
  } catch (error) {
    throw new EngineError(`${file} of docker.tls cannot be read: ${messageOf(error)}`, { cause: error })
  }
}

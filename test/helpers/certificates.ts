import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** Why no certificates can be made here; false when they can. */
export const opensslMissing = (): string | false =>
  spawnSync('openssl', ['version']).status === 0 ? false : 'not installed: openssl (Debian: apt install openssl)'

export interface Certificate {
  readonly cert: string
  readonly key: string
}

/** An authority of our own in a folder, and what it signs; all are paths of PEM files. */
export class Authority {
  readonly ca: string
  readonly #dir: string

  constructor(dir: string, name = 'ca') {
    this.#dir = join(dir, name)
    mkdirSync(this.#dir)
    this.ca = join(this.#dir, 'ca.pem')
    const key = join(this.#dir, 'ca.key')
    openssl('req', '-x509', ...EC, '-keyout', key, '-out', this.ca, '-days', '2', '-subj', `/CN=${name}`)
  }

  /** @param usage what it is for: `serverAuth` (on the loopback interface) or `clientAuth`. */
  sign(name: string, usage: 'serverAuth' | 'clientAuth'): Certificate {
    const [cert, key, request, extensions] = ['pem', 'key', 'csr', 'ext'].map((end) => join(this.#dir, `${name}.${end}`)) as [
      string,
      string,
      string,
      string,
    ]
    openssl('req', ...EC, '-keyout', key, '-out', request, '-subj', `/CN=${name}`)
    writeFileSync(extensions, `subjectAltName=IP:127.0.0.1\nextendedKeyUsage=${usage}\n`)
    const ca = ['-CA', this.ca, '-CAkey', this.ca.replace(/pem$/, 'key'), '-CAcreateserial']
    openssl('x509', '-req', '-in', request, ...ca, '-out', cert, '-days', '2', '-extfile', extensions)
    return { cert, key }
  }
}

const EC = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']

function openssl(...args: string[]): void {
  execFileSync('openssl', args, { stdio: 'pipe' })
}

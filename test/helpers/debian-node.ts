import { execFileSync, spawnSync } from 'node:child_process'
import { copyFileSync, cpSync, existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { cleanEnv } from './child-gateway.ts'

export const hasDebootstrap = (): boolean => spawnSync('sh', ['-c', 'command -v debootstrap']).status === 0

/** The Debian mirror that this machine uses itself. */
function mirror(): string {
  const folder = '/etc/apt/sources.list.d'
  const files = ['/etc/apt/sources.list', ...(existsSync(folder) ? readdirSync(folder).map((name) => join(folder, name)) : [])]
  const text = files
    .map((file) => (existsSync(file) && /\.(list|sources)$/.test(file) ? readFileSync(file, 'utf8') : ''))
    .join('\n')
  return /^(?:deb|URIs:)\s.*?(https?:\/\/\S+\/debian)\/?(?:\s|$)/m.exec(text)?.[1] ?? 'http://deb.debian.org/debian'
}

const npm = (...args: string[]): string => execFileSync('npm', args, { env: cleanEnv(), encoding: 'utf8' }).trim()

/**
 * Makes of Debian's packages, and the Node.js that runs here, what stands in for `node:22-bookworm-slim` where no registry of
 * images can be reached: with its programs in the same places, its user `node`, and the registry that npm uses here.
 */
export function makeDebianWithNode(root: string): void {
  const from = mirror()
  execFileSync('debootstrap', ['--variant=minbase', '--include=ca-certificates', 'bookworm', root, from], {
    env: cleanEnv(),
    stdio: 'pipe',
  })
  const local = join(root, 'usr/local')
  copyFileSync(process.execPath, join(local, 'bin/node'))
  const home = join(npm('root', '--global'), 'npm')
  cpSync(home, join(local, 'lib/node_modules/npm'), { recursive: true })
  symlinkSync('../lib/node_modules/npm/bin/npm-cli.js', join(local, 'bin/npm'))
  mkdirSync(join(local, 'etc'), { recursive: true })
  const authorities = '/etc/ssl/certs/ca-certificates.crt'
  mkdirSync(dirname(join(root, authorities)), { recursive: true })
  if (existsSync(authorities)) copyFileSync(authorities, join(root, authorities))
  writeFileSync(join(local, 'etc/npmrc'), `registry=${npm('config', 'get', 'registry')}\ncafile=${authorities}\n`)
  execFileSync('chroot', [root, 'useradd', '--uid', '1000', '--create-home', 'node'], { stdio: 'pipe' })
}

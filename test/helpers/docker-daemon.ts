import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import {
  copyFileSync,
  createWriteStream,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { cleanEnv } from './child-gateway.ts'
import { until } from './until.ts'

type Teardown = { teardown(fn: () => unknown): void }

/** Debian's `busybox-static`: one file is a whole image. */
const BUSYBOX = '/bin/busybox'

/** Why nothing can be mounted here, as in a container without privileges; false when it can. */
export function mountForbidden(): string | false {
  const allowed = process.getuid?.() === 0 && spawnSync('unshare', ['-m', 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt']).status === 0
  return allowed ? false : 'needs root with the right to mount'
}

/** Why no Docker daemon can be started here; false when one can. */
export function dockerMissing(): string | false {
  const forbidden = mountForbidden()
  if (forbidden) return forbidden
  const absent = ['dockerd', 'docker'].filter((program) => spawnSync('sh', ['-c', `command -v ${program}`]).status !== 0)
  if (absent.length > 0) return `not installed: ${absent.join(', ')} (Debian: apt install docker.io)`
  if (!existsSync(BUSYBOX) || spawnSync('ldd', [BUSYBOX]).status === 0)
    return 'needs a static busybox (Debian: apt install busybox-static)'
  return false
}

/** A real Docker daemon with everything that it has in a temporary folder, and one image; ended and removed with the test. */
export class DockerDaemon {
  readonly dir = mkdtempSync(join(tmpdir(), 'hestia-docker-'))
  /** As `plugins.docker.host` takes it. */
  readonly host = `unix://${this.dir}/d.sock`
  /** An image with busybox and a web page in `/www`. */
  readonly image = 'hestia-test:1'
  #daemon: ChildProcess | undefined
  readonly #options: readonly string[]

  private constructor(options: readonly string[]) {
    this.#options = options
  }

  /** @param options further ones of `dockerd`, as another `--storage-driver` than `vfs`, which works everywhere but copies all. */
  static async start(t: Teardown, options: readonly string[] = []): Promise<DockerDaemon> {
    const daemon = new DockerDaemon(options)
    t.teardown(() => daemon.remove())
    await daemon.up()
    daemon.make(daemon.image)
    return daemon
  }

  /** Makes an image of busybox and files. */
  make(image: string, files: Readonly<Record<string, string | Buffer>> = { 'www/index.html': 'from a container\n' }): void {
    const root = mkdtempSync(join(this.dir, 'image-'))
    for (const folder of ['bin', 'tmp', 'www']) mkdirSync(join(root, folder))
    copyFileSync(BUSYBOX, join(root, 'bin/busybox'))
    symlinkSync('busybox', join(root, 'bin/sh'))
    for (const [path, content] of Object.entries(files)) writeFileSync(join(root, path), content)
    execFileSync('sh', ['-c', 'tar -C "$1" -c . | docker import - "$2"', 'sh', root, image], { env: this.#env, stdio: 'pipe' })
  }

  get #env(): NodeJS.ProcessEnv {
    return cleanEnv({ DOCKER_HOST: this.host, DOCKER_CONFIG: this.dir })
  }

  /** Starts the daemon, also again after `down`. */
  async up(): Promise<void> {
    const { dir, host } = this
    const paths = ['--data-root', join(dir, 'data'), '--exec-root', join(dir, 'exec'), '--pidfile', join(dir, 'pid')]
    const network = ['--iptables=false', '--ip6tables=false', '--bridge=none']
    const child = spawn('dockerd', [...network, '--storage-driver=vfs', '-H', host, ...paths, ...this.#options], {
      env: cleanEnv(),
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.#daemon = child
    const log = createWriteStream(join(dir, 'log'), { flags: 'a' })
    child.stdout.pipe(log)
    child.stderr.pipe(log)
    await until(
      () => {
        if (child.exitCode !== null) throw new Error(`dockerd ended: ${readFileSync(join(dir, 'log'), 'utf8').slice(-2000)}`)
        return spawnSync('docker', ['version'], { env: this.#env }).status === 0
      },
      'the Docker daemon',
      30_000,
    )
  }

  /** Ends the daemon; without `live-restore` its containers end with it. */
  async down(): Promise<void> {
    const child = this.#daemon
    if (!child || child.exitCode !== null) return
    const gone = once(child, 'exit')
    child.kill('SIGTERM')
    await gone
  }

  /** Runs the client, and answers what it wrote. */
  docker(...args: string[]): string {
    return execFileSync('docker', args, { env: this.#env, stdio: 'pipe' }).toString()
  }

  async remove(): Promise<void> {
    const containers = spawnSync('docker', ['ps', '-aq'], { env: this.#env }).stdout.toString().split('\n').filter(Boolean)
    if (containers.length > 0) spawnSync('docker', ['rm', '-f', ...containers], { env: this.#env })
    await this.down()
    // The daemon leaves its mounts behind.
    const mounts = readFileSync('/proc/mounts', 'utf8').split('\n')
    for (const mount of mounts) {
      const path = mount.split(' ')[1] ?? ''
      if (path.startsWith(this.dir)) spawnSync('umount', ['-l', path])
    }
    rmSync(this.dir, { recursive: true, force: true })
  }
}

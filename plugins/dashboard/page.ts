import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import { withEsbuild } from 'hestia'

const WEB = fileURLToPath(new URL('./web/', import.meta.url))
const zip = promisify(gzip)

/** A file as browsers get it. */
export interface Asset {
  readonly type: string
  readonly plain: Buffer
  readonly gzip: Buffer
}

/** One version of the page. */
export interface Build {
  /** Of its sources. */
  readonly hash: string
  /** Names of its files, which change with their content. */
  readonly script: string
  readonly style: string
  readonly assets: ReadonlyMap<string, Asset>
}

/** Versions whose files are kept for pages that are being loaded. */
const MOST_BUILDS = 3

/**
 * The page, bundled from its sources when somebody first looks at it and again when they have changed. So nobody needs a build
 * step, a new generation costs nothing, and a save shows with the next look.
 */
export class Page {
  readonly #builds: Build[]
  #building: { readonly hash: string; readonly build: Promise<Build> } | undefined

  /** `builds` outlives this page, newest first. */
  constructor(builds: Build[]) {
    this.#builds = builds
  }

  /** As the sources are now; if they can't be built, as it was before. @throws when it never could be. */
  async current(failed: (error: unknown) => void): Promise<Build> {
    const hash = await hashOf(WEB)
    const last = this.#builds[0]
    if (last?.hash === hash) return last
    if (this.#building?.hash !== hash) this.#building = { hash, build: bundle(hash) }
    try {
      const build = await this.#building.build
      if (!this.#builds.includes(build)) this.#builds.unshift(build)
      this.#builds.splice(MOST_BUILDS)
      return build
    } catch (error) {
      failed(error)
      if (!last) throw error
      return last
    }
  }

  asset(name: string): Asset | undefined {
    return this.#builds.map(({ assets }) => assets.get(name)).find(Boolean)
  }
}

async function hashOf(folder: string): Promise<string> {
  const names = (await readdir(folder, { recursive: true })).filter((name) => /\.(tsx?|css)$/.test(name)).toSorted()
  const hash = createHash('sha256')
  const texts = await Promise.all(names.map((name) => readFile(`${folder}${name}`)))
  for (const [i, name] of names.entries()) hash.update(`${name}\0`).update(texts[i]!)
  return hash.digest('hex').slice(0, 16)
}

async function bundle(hash: string): Promise<Build> {
  const { outputFiles } = await withEsbuild(({ build }) =>
    build({
      entryPoints: [`${WEB}main.tsx`, `${WEB}style.css`],
      outdir: WEB, // never written
      write: false,
      bundle: true,
      minify: true,
      format: 'esm',
      target: ['es2022', 'chrome105', 'firefox115', 'safari16'],
      jsx: 'automatic',
      jsxImportSource: 'preact',
      charset: 'utf8',
      legalComments: 'none',
      logLevel: 'silent',
      tsconfigRaw: {},
    }),
  )
  const fileOf = async (ending: string, type: string) => {
    const { contents } = outputFiles.find(({ path }) => path.endsWith(ending))!
    const plain = Buffer.from(contents)
    const name = createHash('sha256').update(plain).digest('hex').slice(0, 16) + ending
    return [name, { type: `${type}; charset=utf-8`, plain, gzip: await zip(plain, { level: 9 }) }] as const
  }
  const [script, style] = await Promise.all([fileOf('.js', 'text/javascript'), fileOf('.css', 'text/css')])
  return { hash, script: script[0], style: style[0], assets: new Map([script, style]) }
}

import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { freePort } from '../../test/helpers/free-port.ts'
import { type Contestant, serve } from './contestant.ts'

const PEERS = join(import.meta.dirname, '../peers')

/** Why none of the packages can take part. */
const missing = (): string | undefined =>
  existsSync(join(PEERS, 'node_modules')) ? undefined : 'npm run bench:install fetches it'

/** A small program around a package, see bench/peers. */
const peer = (name: string, file: string): Contestant => ({
  name,
  missing,
  async start(upstreamPort) {
    const port = await freePort()
    const env = { PORT: String(port), UPSTREAM: `http://127.0.0.1:${upstreamPort}`, NODE_ENV: 'production' }
    return serve(name, `http://127.0.0.1:${port}`, [process.execPath, join(PEERS, file)], { env })
  },
})

export const fastifyHttpProxy = peer('@fastify/http-proxy', 'fastify-http-proxy.js')
export const httpProxy3 = peer('http-proxy-3', 'http-proxy-3.js')
export const fastProxy = peer('fast-proxy', 'fast-proxy.js')

/** The AI gateway, asked to pass requests on to a server that speaks as OpenAI does. */
export const portkey: Contestant = {
  name: '@portkey-ai/gateway',
  missing,
  async start(upstreamPort) {
    const port = await freePort()
    const base = `http://127.0.0.1:${port}`
    const server = join(PEERS, 'node_modules/@portkey-ai/gateway/build/start-server.js')
    const command = [process.execPath, server, '--headless', `--port=${port}`]
    const running = await serve('@portkey-ai/gateway', base, command, { env: { NODE_ENV: 'production' } })
    const custom = `http://127.0.0.1:${upstreamPort}/v1`
    return {
      ...running,
      headers: { 'x-portkey-provider': 'openai', 'x-portkey-custom-host': custom, authorization: 'Bearer none' },
    }
  },
}

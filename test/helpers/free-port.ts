import { createServer } from 'node:net'

/** Below the ports that the system gives to outgoing connections: one of those could take the port between two starts of a service. */
const FIRST = 10_000
const LAST = 32_000

const isFree = (port: number): Promise<boolean> =>
  new Promise((done) => {
    const server = createServer()
    server.once('error', () => done(false))
    server.listen(port, '127.0.0.1', () => server.close(() => done(true)))
  })

/** A port of the loopback interface on which nothing listens, and which nobody is likely to take before a test's service does. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = FIRST + Math.floor(Math.random() * (LAST - FIRST))
    if (await isFree(port)) return port
  }
}

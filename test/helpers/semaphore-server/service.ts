import { createServer, type Server } from 'node:http'
import { freePort } from '../free-port.ts'

/** A service that only a playbook brings up and down; it notes when. */
export interface ManagedService {
  readonly url: string
  readonly journal: ('up' | 'down')[]
  readonly isUp: boolean
  up(): void
  down(): void
}

export async function managedService(t: { teardown(fn: () => unknown): void }): Promise<ManagedService> {
  const port = await freePort()
  const journal: ('up' | 'down')[] = []
  let server: Server | undefined
  const down = () => {
    if (!server) return
    journal.push('down')
    server.close()
    server.closeAllConnections()
    server = undefined
  }
  t.teardown(down)
  return {
    url: `http://127.0.0.1:${port}`,
    journal,
    get isUp() {
      return server !== undefined
    },
    up() {
      if (server) return
      journal.push('up')
      server = createServer((request, response) => response.end(`hello from ${request.url}`)).listen(port, '127.0.0.1')
    },
    down,
  }
}

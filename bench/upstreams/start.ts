import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { freePort } from '../../test/helpers/free-port.ts'
import { nginxCommand, nginxFolders } from '../contestants/debian.ts'
import type { Context } from '../context.ts'
import { untilServes } from '../measure/ask.ts'
import { start } from '../measure/children.ts'
import { programPath } from '../measure/cores.ts'

/** What stands behind the contestants. */
export interface Upstream {
  readonly port: number
  readonly pid: number
  end(): Promise<void>
}

async function startUpstream(command: (port: number) => readonly string[], env: Record<string, string> = {}): Promise<Upstream> {
  const port = await freePort()
  const child = start('upstream', command(port), { env: { ...env, PORT: String(port) } })
  await untilServes(`http://127.0.0.1:${port}/`, child)
  return { port, pid: child.pid, end: () => child.end() }
}

/** One of the programs of this folder. */
export const startProgram = (name: 'plain' | 'echo', env?: Record<string, string>): Promise<Upstream> =>
  startUpstream(() => [process.execPath, '--import', 'tsx', join(import.meta.dirname, `${name}.ts`)], env)

const completion = JSON.stringify({
  id: 'chatcmpl-1',
  object: 'chat.completion',
  created: 1_700_000_000,
  model: 'small',
  choices: [{ index: 0, message: { role: 'assistant', content: 'so it goes '.repeat(75) }, finish_reason: 'stop' }],
  usage: { prompt_tokens: 400, completion_tokens: 150, total_tokens: 550 },
})

/**
 * A service that costs as little as can be, so that the contestants are what is measured: nginx, which answers `GET /` with
 * 1 KiB and a POST to `/v1/chat/completions` with a completion once all of the body has come. Its `mirror` is there for nothing
 * but to read the body first, and `empty_gif` to refuse a POST with a 405 that becomes the answer.
 */
export async function startFast(context: Context): Promise<Upstream> {
  const program = programPath('nginx')
  if (!program) {
    context.sayOnce(
      '  nginx is not installed: a node:http server stands for the services, and limits what fast contestants reach',
    )
    return startProgram('plain')
  }
  return startUpstream((port) => {
    const dir = context.scratch()
    const file = join(dir, 'nginx.conf')
    const config = `
daemon off; worker_processes 1; pid ${dir}/pid; error_log stderr crit;
events { worker_connections 16384; }
http {
  ${nginxFolders(dir)}
  access_log off; keepalive_requests 1000000000; keepalive_timeout 300s;
  client_max_body_size 0; client_body_buffer_size 2m;
  server {
    listen 127.0.0.1:${port} backlog=4096;
    location / { default_type text/plain; return 200 '${'x'.repeat(1024)}'; }
    location = /v1/chat/completions { mirror /read-first; empty_gif; error_page 405 =200 @completion; }
    location @completion { default_type application/json; return 200 '${completion}'; }
    location = /read-first { internal; return 204; }
  }
}`
    writeFileSync(file, config)
    return nginxCommand(program, file, dir)
  })
}

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { freePort } from '../../test/helpers/free-port.ts'
import { programPath } from '../measure/cores.ts'
import { type Contestant, serve } from './contestant.ts'

/** A proxy from Debian, configured as its manual advises: one worker, connections to the upstream kept. */
function proxy(
  name: string,
  config: (port: number, upstreamPort: number, dir: string) => string,
  command: (program: string, file: string) => string[],
  env?: Record<string, string>,
): Contestant {
  return {
    name,
    missing: () => (programPath(name) ? undefined : `apt install ${name}`),
    async start(upstreamPort, context) {
      const [port, dir] = [await freePort(), context.scratch()]
      const file = join(dir, `${name}.conf`)
      writeFileSync(file, config(port, upstreamPort, dir))
      return serve(name, `http://127.0.0.1:${port}`, command(programPath(name)!, file), { ...(env ? { env } : {}), cwd: dir })
    },
  }
}

/** Everything that nginx would otherwise put into folders of the system. */
export const nginxFolders = (dir: string): string =>
  ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${dir}/${name};`).join(' ')

export const nginxCommand = (program: string, file: string, dir: string): string[] => [
  program,
  ...['-p', dir, '-e', 'stderr', '-c', file],
]

export const nginx: Contestant = proxy(
  'nginx',
  (port, upstreamPort, dir) => `
daemon off; worker_processes 1; pid ${dir}/pid; error_log stderr crit;
events { worker_connections 16384; }
http {
  ${nginxFolders(dir)}
  access_log off; keepalive_requests 1000000000; tcp_nodelay on;
  map $http_upgrade $connection_upgrade { default upgrade; '' ''; }
  upstream service { server 127.0.0.1:${upstreamPort}; keepalive 512; keepalive_requests 1000000000; }
  server {
    listen 127.0.0.1:${port} backlog=4096;
    client_max_body_size 0;
    location / {
      proxy_pass http://service;
      proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_upgrade;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_request_buffering off; proxy_max_temp_file_size 0;
    }
  }
}`,
  (program, file) => nginxCommand(program, file, join(file, '..')),
)

export const haproxy: Contestant = proxy(
  'haproxy',
  (port, upstreamPort) => `
global
  nbthread 1
  maxconn 2000
defaults
  mode http
  option http-no-delay
  http-reuse always
  timeout connect 5s
  timeout client 300s
  timeout server 300s
listen proxy
  bind 127.0.0.1:${port}
  option forwardfor
  server service 127.0.0.1:${upstreamPort}
`,
  (program, file) => [program, '-db', '-q', '-f', file],
)

export const caddy: Contestant = proxy(
  'caddy',
  (port, upstreamPort) => `
{
  admin off
  auto_https off
}
http://:${port} {
  bind 127.0.0.1
  reverse_proxy 127.0.0.1:${upstreamPort} {
    transport http {
      keepalive_idle_conns 512
      keepalive_idle_conns_per_host 512
    }
  }
}
`,
  (program, file) => [program, 'run', '--adapter', 'caddyfile', '--config', file],
  { HOME: '/tmp', GOMAXPROCS: '1' },
)

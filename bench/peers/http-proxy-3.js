import { Agent, createServer } from 'node:http'
import { createProxyServer } from 'http-proxy-3'

const proxy = createProxyServer({ target: process.env.UPSTREAM, agent: new Agent({ keepAlive: true }), xfwd: true })
const server = createServer((request, response) => proxy.web(request, response))
server.on('upgrade', (request, socket, head) => proxy.ws(request, socket, head))
server.listen(Number(process.env.PORT), '127.0.0.1')

import { createServer } from 'node:http'
import fastProxy from 'fast-proxy'

// Its README promises 20 to 50 % more with undici.
const gateway = fastProxy({ base: process.env.UPSTREAM, undici: { connections: 128, pipelining: 1 } })
const server = createServer((request, response) => gateway.proxy(request, response, request.url, {}))
server.listen(Number(process.env.PORT), '127.0.0.1')

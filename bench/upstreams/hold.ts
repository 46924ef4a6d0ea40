import { createServer, type ServerResponse } from 'node:http'

/** node:http that does nothing but hold requests: what a held caller costs whoever is written in Node. `PORT` says where. */
const held: ServerResponse[] = []
const server = createServer((request, response) => {
  if (request.url === '/') response.end('ok')
  else held.push(response)
})
server.requestTimeout = 0
server.listen(Number(process.env.PORT), '127.0.0.1')

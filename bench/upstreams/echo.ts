import { createServer } from 'node:http'
import { WebSocketServer } from 'ws'

/** A service that sends each WebSocket message back. `PORT` says where. */
const server = createServer((_request, response) => response.end('ok'))
new WebSocketServer({ server }).on('connection', (socket) => {
  socket.on('message', (message, isBinary) => socket.send(message, { binary: isBinary }))
})
server.listen(Number(process.env.PORT), '127.0.0.1')

import { createServer } from 'node:http'

// A small service that is started and stopped again and again. Plain JavaScript, so that it boots as fast as Node does.
createServer((_request, response) => response.end('ok')).listen(Number(process.env.PORT), process.env.HOST)
// If nobody stops it, it goes by itself.
setTimeout(() => process.exit(), 60_000)

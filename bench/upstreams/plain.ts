import { createServer } from 'node:http'

/**
 * A service in a process of its own: `PORT` says where. It answers once all of a body has come, with 1 KiB, or with the bytes
 * of `BIG_MIB` for `/big`.
 */
const answer = Buffer.alloc(1024, 'x')
const block = Buffer.alloc(2 ** 20, 'x')
const blocks = Number(process.env.BIG_MIB ?? 1)

const server = createServer((request, response) => {
  request.resume().once('end', () => {
    if (request.url !== '/big') return response.end(answer)
    response.writeHead(200, { 'content-type': 'application/octet-stream', 'content-length': blocks * block.length })
    let sent = 0
    const more = (): unknown => {
      while (sent++ < blocks) if (!response.write(block)) return response.once('drain', more)
      return response.end()
    }
    return more()
  })
})
server.keepAliveTimeout = 300_000
server.listen(Number(process.env.PORT), '127.0.0.1')

import { Agent, createServer, request } from 'node:http'

/** The simplest proxy that node:http makes, as a measure of cost. `PORT` and `UPSTREAM_PORT` say between what. */
const agent = new Agent({ keepAlive: true })
const port = Number(process.env.UPSTREAM_PORT)

const server = createServer((incoming, outgoing) => {
  const { method, url, headers } = incoming
  const options = { agent, port, host: '127.0.0.1', path: url, headers, ...(method === undefined ? {} : { method }) }
  const upstream = request(options, (answer) => {
    outgoing.writeHead(answer.statusCode!, answer.rawHeaders)
    answer.pipe(outgoing)
  })
  upstream.once('error', () => outgoing.destroy())
  incoming.pipe(upstream)
})
server.listen(Number(process.env.PORT), '127.0.0.1')

import proxy from '@fastify/http-proxy'
import fastify from 'fastify'

const app = fastify({ bodyLimit: 2 ** 30 })
app.register(proxy, { upstream: process.env.UPSTREAM, websocket: true, undici: { connections: 512 } })
await app.listen({ port: Number(process.env.PORT), host: '127.0.0.1' })

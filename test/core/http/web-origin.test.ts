import t from 'tap'
import { startGateway } from '../../helpers/gateway.ts'
import { ask } from '../../helpers/http.ts'
import { parseRaw, sendRaw } from '../../helpers/raw.ts'
import { httpUpstream } from '../../helpers/upstream.ts'

t.test('R22 with auth off, too: pages of others neither steer the gateway nor read it', async (t) => {
  const upstream = await httpUpstream(t)
  const gateway = await startGateway(t, {
    config: `server: { trusted_hosts: [Hestia.Example.org] }\nservices: ${JSON.stringify({
      a: { base_url: upstream.url, warmup_ms: 0, hosts: ['a.example.net'] },
    })}`,
  })
  const own = `127.0.0.1:${gateway.port}`
  const code = async (method: string, path: string, headers: Record<string, string>, body?: string) => {
    const answer = await ask(gateway.url + path, { method, headers, ...(body === undefined ? {} : { body }) })
    if (answer.status < 400) return answer.status
    // The front door speaks its clients' language.
    const { error } = JSON.parse(answer.text) as { error: string | { code: string } }
    return typeof error === 'string' ? error : error.code
  }

  t.test('names that a page could have made point here', async (t) => {
    for (const host of [
      'evil.example',
      'evil.example:8080',
      'localhost.evil.example',
      '127.0.0.1.evil.example',
      'EVIL.example.',
      'a.example.org',
    ])
      for (const path of ['/v1/services', '/metrics', '/v1/models', '/nothing'])
        t.equal(await code('GET', path, { host }), 'unknown_host', host)
    const refused = parseRaw(
      await sendRaw(gateway.port, 'GET /v1/services HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n'),
    )
    t.equal(refused.status, 421)
    t.match(refused.body, /server\.trusted_hosts/)
    const good = [
      'localhost',
      'localhost:1',
      own,
      '[::1]:8080',
      '[::ffff:1.2.3.4]',
      '192.168.1.7:8080',
      'gateway',
      'gpu-box.local',
      'x.localhost',
    ]
    for (const host of [...good, 'hestia.example.org', 'HESTIA.example.org:443'])
      t.equal(await code('GET', '/v1/services', { host }), 200, host)
    t.equal(parseRaw(await sendRaw(gateway.port, 'GET /v1/services HTTP/1.0\r\n\r\n')).status, 200, 'none at all')
    t.equal(await code('GET', '/', { host: 'a.example.net' }), 200, "a service's own")
    t.equal(await code('GET', '/services/a/', { host: 'evil.example' }), 200, 'what goes to a service is its business')
  })

  t.test('requests that a page could send without being asked', async (t) => {
    const evil = { origin: 'https://evil.example' }
    for (const path of [
      '/v1/reload',
      '/v1/services/a/stop',
      '/v1/services/a/start',
      '/v1/requests',
      '/v1/chat/completions',
      '/nothing',
    ]) {
      t.equal(await code('POST', path, evil), 'cross_site', path)
      t.equal(await code('POST', path, { origin: 'null' }), 'cross_site')
      t.equal(await code('POST', path, { origin: `http://127.0.0.1:1` }), 'cross_site', 'another port of this machine')
      t.equal(await code('POST', path, { 'sec-fetch-site': 'cross-site' }), 'cross_site')
      t.equal(await code('POST', path, { 'sec-fetch-site': 'same-site', origin: gateway.url }), 'cross_site')
    }
    t.equal(await code('POST', '/v1/reload', { ...evil, 'content-type': 'text/plain' }, '{}'), 'cross_site')
    t.equal(await code('DELETE', '/v1/responses/x', evil), 'cross_site')
    t.equal(await code('GET', '/v1/services', evil), 200, 'reading is for the browser to prevent')
    t.equal(await code('POST', '/services/a/', evil), 200, "a service's business")

    t.equal(await code('POST', '/v1/reload', {}), 200, 'a program')
    t.equal(await code('POST', '/v1/reload', { origin: gateway.url }), 200, 'its own page')
    t.equal(
      await code('POST', '/v1/reload', { 'sec-fetch-site': 'same-origin', origin: 'https://hestia.example.org' }),
      200,
      'behind a proxy',
    )
    t.equal(await code('POST', '/v1/reload', { 'sec-fetch-site': 'none' }), 200, 'somebody at the browser')
    t.equal(
      await code('POST', '/v1/reload', { ...evil, authorization: 'Bearer x' }),
      200,
      'what a page may send only when asked to',
    )
    t.equal(
      await code('POST', '/v1/reload', { ...evil, authorization: 'Basic dXNlcjpwYXNz' }),
      'cross_site',
      'a browser adds by itself what somebody typed for a proxy in front',
    )
  })

  t.test('bodies are JSON or nothing', async (t) => {
    const send = (type: string) =>
      code('POST', '/v1/requests', { 'content-type': type }, '{"serviceId":"a","method":"GET","path":"/"}')
    t.equal(await send('application/json'), 200)
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x'])
      t.equal(await send(type), 'unsupported_media_type', type)
    t.equal(await code('POST', '/v1/reload', { 'content-type': 'text/plain' }, '{}'), 'unsupported_media_type')
  })
})

import { Validator } from '@seriousme/openapi-schema-validator'
import t from 'tap'
import { ERRORS, type ErrorCode } from '../../core/errors.ts'
import type { OpenApiDocument } from '../../plugins/openapi/document.ts'
import { checked, checkRecords } from '../helpers/api-record.ts'
import { startGateway } from '../helpers/gateway.ts'
import { ask } from '../helpers/http.ts'

type Json = Record<string, unknown>

/** Tells which routes there are, and has some of its own. */
const guest = `
import { Type } from 'hestia'
export default {
  name: 'guest',
  setup (app) {
    app.get('/guest/routes', { schema: { hide: true } }, () =>
      app.routeTable.map(({ url, methods, schema }) => ({ url, methods, hidden: schema?.hide === true })))
    app.addSchema({ $id: 'cup', type: 'object', properties: { size: { type: 'integer' } } })
    const Tea = Type.Object({ kind: Type.String(), strong: Type.Optional(Type.Boolean()) }, { $id: 'Tea' })
    app.post('/guest/:table/tea', {
      schema: { params: Type.Object({ table: Type.Integer() }), body: Tea, response: { 201: Tea } }
    }, (request, reply) => reply.code(201).send(request.body))
    app.get('/guest/cup', { schema: { response: { 200: { $ref: 'cup#' } } } }, () => ({ size: 1 }))
    app.get('/guest/plain', () => 'hello')
    app.get('/guest/files/*', () => 'file')
    app.get('/guest/liar', { schema: { response: { 200: Type.Object({ a: Type.Integer() }) } } }, () => ({ a: 1, b: 2 }))
  }
}`
const CONFIG = `
plugins: { guest: {}, exclusive: {}, model-router: { ollama_api: true } }
services:
  one: { base_url: "http://127.0.0.1:1", warmup_ms: 1 }
`
const start = (t: Parameters<typeof startGateway>[0], config = CONFIG, files: Record<string, string> = {}) =>
  startGateway(t, { config, files: { 'plugins/guest.ts': guest, ...files } })

const documentOf = async (url: string): Promise<OpenApiDocument> => {
  const { status, headers, text } = await ask(`${url}/v1/openapi.json`)
  if (status !== 200 || headers['content-type'] !== 'application/json; charset=utf-8') throw new Error(`no document: ${text}`)
  return JSON.parse(text) as OpenApiDocument
}

const operationsOf = (document: OpenApiDocument): [path: string, method: string, operation: Json][] =>
  Object.entries(document.paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, operation]) => [path, method, operation] as [string, string, Json]),
  )

t.test('R26 the document is OpenAPI 3.1, and has every route that does not hide', async (t) => {
  const { url } = await start(t)
  const document = await documentOf(url)
  t.match(await new Validator().validate(structuredClone(document)), { valid: true, errors: undefined })
  t.match(document.openapi, /^3\.1\.\d$/)
  const operations = operationsOf(document)
  const ids = operations.map(([, , { operationId }]) => operationId)
  t.equal(new Set(ids).size, ids.length, 'operationIds are unique')
  for (const [path, method, operation] of operations) {
    if (path.startsWith('/guest')) continue
    t.match(operation, { operationId: /^[a-z][A-Za-z]+$/, summary: /^\S.{5,}/, tags: /.*/ }, `${method} ${path} says what it is`)
    t.notOk((operation.tags as string[]).includes('plugins'), `${method} ${path} has a tag of its own`)
    const named = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name)
    const parameters = (operation.parameters ?? []) as { in: string; name: string }[]
    t.same(
      parameters.filter((one) => one.in === 'path').map(({ name }) => name),
      named,
      `${method} ${path} names its parameters`,
    )
  }
  const routes = JSON.parse((await ask(`${url}/guest/routes`)).text) as { url: string; methods: string[]; hidden: boolean }[]
  t.ok(routes.length > 40)
  for (const route of routes) {
    const item = document.paths[route.url.replace(/\*$/, ':path').replace(/:(\w+)/g, '{$1}')]
    if (route.hidden) t.notOk(item, `${route.url} hides`)
    else if (route.methods.length > 8) t.same(Object.keys(item ?? {}), ['get'], `${route.url} is there once`)
    else for (const method of route.methods) if (method !== 'HEAD') t.ok(item?.[method.toLowerCase()], `${method} ${route.url}`)
  }
  t.same(
    [...new Set(routes.filter(({ hidden }) => hidden).map((route) => route.url))].sort(),
    [
      '/',
      '/dashboard',
      '/dashboard/',
      '/dashboard/assets/:file',
      '/docs',
      '/docs/:file',
      '/guest/routes',
      '/login',
      '/services/:serviceId',
    ],
    'nothing else hides',
  )
})

t.test('R26 errors are those of the table, under their own status', async (t) => {
  const { url } = await start(t)
  const document = await documentOf(url)
  t.same(document.components.schemas.ErrorCode?.enum, Object.keys(ERRORS))
  for (const [code, [, sentence]] of Object.entries(ERRORS))
    t.ok(String(document.components.schemas.ErrorCode?.description).includes(`\`${code}\`: ${sentence}`), code)
  const responses = operationsOf(document).flatMap(([path, method, operation]) =>
    Object.entries(operation.responses as Record<string, Json>).map(([status, response]) => ({
      where: `${method} ${path}`,
      status,
      response,
    })),
  )
  const shared = Object.entries((document.components.responses ?? {}) as Record<string, Json>)
  let count = 0
  for (const { where, status, response } of responses) {
    const name = typeof response.$ref === 'string' ? response.$ref.split('/').at(-1) : undefined
    const found = name === undefined ? response : shared.find(([key]) => key === name)?.[1]
    for (const [, list] of JSON.stringify(found).matchAll(/"error":\{"type":"string","enum":(\[[^\]]*\])/g)) {
      for (const code of JSON.parse(list!) as ErrorCode[]) {
        count++
        t.equal(String(ERRORS[code]?.[0]), status, `${where}: ${code}`)
      }
    }
    if (status === '503' && !where.includes('__ready')) t.match(found, { headers: { 'Retry-After': {} } }, where)
  }
  t.ok(count > 60)
  t.match(document.paths['/v1/reload']?.post, { responses: { 422: { content: {} }, 200: {}, default: {} } })
})

t.test('R26 routes of a user plugin appear by themselves', async (t) => {
  const gateway = await start(t)
  const { paths, components } = await documentOf(gateway.url)
  t.match(paths['/guest/{table}/tea']?.post, {
    operationId: 'postGuestTableTea',
    tags: ['plugins'],
    parameters: [{ in: 'path', name: 'table', required: true, schema: { type: 'integer' } }],
    requestBody: { content: { 'application/json': { schema: { $ref: '#/components/schemas/Tea' } } } },
    responses: {
      201: { content: { 'application/json': { schema: { $ref: '#/components/schemas/Tea' } } } },
      400: { $ref: '#/components/responses/InvalidRequest' },
    },
  })
  t.match(components.schemas, { Tea: { properties: { kind: { type: 'string' } } }, cup: { properties: { size: {} } } })
  t.match(paths['/guest/cup']?.get, { responses: { 200: { content: { 'application/json': { schema: { $ref: /cup$/ } } } } } })
  t.match(paths['/guest/plain']?.get, { operationId: 'getGuestPlain', responses: { 200: {} } })
  t.ok(paths['/guest/files/{path}']?.get)
  const send = (body: unknown, path = '/guest/1/tea') =>
    fetch(gateway.url + path, { method: 'POST', body: JSON.stringify(body), headers: { 'content-type': 'application/json' } })
  t.equal((await send({ kind: 'mate' })).status, 201)
  t.match(await (await send({ kind: 1 })).json(), { error: 'invalid_request', message: /field "kind": expected a text/ })
  t.match(await (await send({ kind: 'x' }, '/guest/two/tea')).json(), {
    message: /path parameter "table": expected a whole number/,
  })
  await gateway.write('plugins/guest.ts', guest.replaceAll('/guest/plain', '/guest/simple'))
  await gateway.gateway.reload()
  t.ok((await documentOf(gateway.url)).paths['/guest/simple'], 'each generation has its own document')
})

t.test('R22 what a caller needs is described when a plugin asks who calls', async (t) => {
  const doorman = `export default { name: 'doorman', setup (app) { app.decorate('authenticates', 'doorman') } }`
  const open = await documentOf((await start(t)).url)
  t.notOk(open.security)
  t.notOk(open.components.securitySchemes)
  const { url } = await start(t, CONFIG.replace('guest: {}', 'guest: {}, doorman: {}'), { 'plugins/doorman.ts': doorman })
  const document = await documentOf(url)
  t.match(await new Validator().validate(structuredClone(document)), { valid: true })
  t.match(document, {
    security: [{ apiKey: [] }, { bearer: [] }, { session: [] }],
    components: { securitySchemes: { apiKey: { name: 'X-API-Key' }, bearer: { scheme: 'bearer' }, session: { in: 'cookie' } } },
  })
  const responses = { 401: { $ref: /Unauthorized/ }, 403: { $ref: /403/ } }
  t.match(document.paths['/guest/plain']?.get, { 'x-permission': 'administer', responses })
  for (const [path, , operation] of operationsOf(document))
    t.ok(Array.isArray(operation.security) || typeof operation['x-permission'] === 'string', `${path} says who may`)
})

t.test('an answer that the document does not describe fails a test', async (t) => {
  const { url } = await start(t)
  await checkRecords()
  const before = checked
  t.equal((await ask(`${url}/guest/cup`)).status, 200)
  await checkRecords()
  t.equal(checked, before + 1)
  t.equal((await ask(`${url}/guest/liar`)).status, 200)
  await t.rejects(checkRecords(), /GET \/guest\/liar answered 200: .*unevaluated/)
  await checkRecords()
})

t.test('streams of events and metrics are described as they are', async (t) => {
  const { url } = await start(t)
  const { paths } = await documentOf(url)
  t.match(paths['/v1/events']?.get, {
    responses: { 200: { content: { 'text/event-stream': { schema: { $ref: '#/components/schemas/Event' } } } } },
  })
  const leave = new AbortController()
  const stream = await fetch(`${url}/v1/events`, { signal: leave.signal })
  t.match(stream.headers.get('content-type'), /^text\/event-stream/)
  leave.abort()
  t.match(paths['/metrics']?.get, { responses: { 200: { content: { 'text/plain': {}, 'application/openmetrics-text': {} } } } })
  t.match((await ask(`${url}/metrics`)).headers['content-type'], /^text\/plain/)
  const accept = { accept: 'application/openmetrics-text; version=1.0.0' }
  t.match((await ask(`${url}/metrics`, { headers: accept })).headers['content-type'], /^application\/openmetrics-text/)
})

t.test('the page for people takes nothing from elsewhere, and can be switched off', async (t) => {
  const { url } = await start(t)
  const page = await ask(`${url}/docs`)
  t.equal(page.status, 200)
  t.match(page.headers['content-security-policy'], /default-src 'none'; script-src 'self'/)
  t.notMatch(page.headers['content-security-policy'], /unsafe|https?:|\*/)
  const files = [...page.text.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, file]) => file!)
  t.notMatch(page.text, /https?:|<script>|<style|style=| on\w+=/)
  for (const file of files.filter((name) => !name.startsWith('data:'))) {
    const { status, headers } = await ask(new URL(file, `${url}/docs`).href)
    t.equal(status, 200, file)
    t.match(headers['content-type'], /^(text\/(css|javascript)|application\/json)/)
  }
  t.equal((await ask(`${url}/docs/package.json`)).status, 404)
  t.equal((await ask(`${url}/docs/..%2f..%2fpackage.json`)).status, 404)
  const off = await start(t, CONFIG.replace('guest: {}', 'guest: {}, openapi: { docs: false }'))
  t.equal((await ask(`${off.url}/docs`)).status, 404)
  t.equal((await ask(`${off.url}/v1/openapi.json`)).status, 200)
})

t.test('parameters of a query are taken only if they spell what is wanted', async (t) => {
  const { url } = await start(t)
  const get = async (query: string) => {
    const { status, text } = await ask(`${url}/v1/activities?${query}`)
    return { status, message: (JSON.parse(text) as Json).message }
  }
  for (const good of ['', 'limit=1', 'limit=1000&service=one', 'since=0', 'since=2026-01-31T12:00:00Z&kind=instance.'])
    t.equal((await get(good)).status, 200, good)
  const limit = /query parameter "limit": expected a whole number from 1 to 1000/
  for (const bad of [
    'limit=1.5',
    'limit=1e2',
    'limit=',
    'limit=true',
    'limit=0',
    'limit=1e308',
    'limit=1&limit=2',
    'limit=NaN',
    'limit=%00',
  ])
    t.match(await get(bad), { status: 400, message: limit }, bad)
  t.match(await get('limt=5'), { status: 400, message: /query parameter "limt": unknown key; did you mean "limit"/ })
  t.match(await get('limit=x&since=soon'), { status: 400, message: /"since".*; .*"limit"/ }, 'everything that is wrong is told')
  t.match(await get('service=a&service=b'), { status: 400, message: /"service": expected a text/ })
})

import fc from 'fast-check'
import t from 'tap'
import { type Mapping, rewriteCookie, rewriteRefresh, rewriteUrl } from '../../plugins/proxy/rewrite.ts'

const mapping = (more: Partial<Mapping> = {}): Mapping => ({
  prefix: '/services/up',
  scheme: 'http',
  authority: '10.0.0.9:3000',
  basePath: '',
  clientHost: 'gw.home:8080',
  ...more,
})
const based = mapping({ basePath: '/base' })

t.test('R3 Location and Content-Location', async (t) => {
  const cases: [string, string, Mapping?][] = [
    ['/', '/services/up/'],
    ['/login?next=/a#b', '/services/up/login?next=/a#b'],
    ['http://10.0.0.9:3000/x', '/services/up/x'],
    ['HTTP://10.0.0.9:3000', '/services/up/'],
    ['http://10.0.0.9:3000?q', '/services/up/?q'],
    ['//10.0.0.9:3000/x', '/services/up/x'],
    ['https://10.0.0.9:3000/x', 'https://10.0.0.9:3000/x'],
    ['http://gw.home:8080/x', 'http://gw.home:8080/services/up/x'],
    ['https://GW.home:8080/x', 'https://GW.home:8080/services/up/x'],
    ['/services/up/x', '/services/up/x'],
    ['http://gw.home:8080/services/up/x', 'http://gw.home:8080/services/up/x'],
    ['/services/upper/x', '/services/up/services/upper/x'],
    ['https://elsewhere.example/x', 'https://elsewhere.example/x'],
    ['//elsewhere.example/x', '//elsewhere.example/x'],
    ['mailto:a@b', 'mailto:a@b'],
    ['next', 'next'],
    ['../up', '../up'],
    ['?page=2', '?page=2'],
    ['', ''],
    ['/base/x', '/services/up/x', based],
    ['/base', '/services/up/', based],
    ['/base?q', '/services/up/?q', based],
    ['/other', '/other', based],
    ['/basement', '/basement', based],
    ['http://10.0.0.9:3000/base/x', '/services/up/x', based],
    ['http://10.0.0.9:3000/other', 'http://10.0.0.9:3000/other', based],
    ['http://up.example:80/x', '/services/up/x', mapping({ authority: 'up.example' })],
    ['https://up.example/x', 'https://up.example/x', mapping({ authority: 'up.example' })],
    ['https://up.example:443/x', '/services/up/x', mapping({ authority: 'up.example', scheme: 'https' })],
    ['http://10.0.0.9:3000/x', '/x', mapping({ prefix: '' })],
    ['/x', '/x', mapping({ prefix: '' })],
  ]
  for (const [given, wanted, with_ = mapping()] of cases) t.equal(rewriteUrl(given, with_), wanted, given)
})

t.test('R3 Refresh', async (t) => {
  t.equal(rewriteRefresh('5', mapping()), '5')
  t.equal(rewriteRefresh('5; url=/x', mapping()), '5; url=/services/up/x')
  t.equal(rewriteRefresh(`0;URL='/x?a=1'`, mapping()), `0;URL='/services/up/x?a=1'`)
  t.equal(rewriteRefresh('1, url="http://10.0.0.9:3000/"', mapping()), '1, url="/services/up/"')
})

t.test('R3 Set-Cookie', async (t) => {
  const cases: [string, string, Mapping?][] = [
    ['a=1', 'a=1'],
    ['a=/; Path=/; Secure; HttpOnly', 'a=/; Path=/services/up/; Secure; HttpOnly'],
    ['a=1; path=/app; SameSite=Lax', 'a=1; path=/services/up/app; SameSite=Lax'],
    ['a=1; Path=/services/up/app', 'a=1; Path=/services/up/app'],
    ['a=1; Path=/services/up', 'a=1; Path=/services/up'],
    ['a=1; Path=/base; Max-Age=1', 'a=1; Path=/services/up/; Max-Age=1', based],
    ['a=1; Path=/', 'a=1; Path=/services/up/', based],
    ['a=1; Path=/base/x', 'a=1; Path=/services/up/x', based],
    ['a=1; Path=/other', 'a=1; Path=/other', based],
    ['a=1; Domain=10.0.0.9; Path=/', 'a=1; Path=/services/up/'],
    ['a=1; Domain=.home', 'a=1; Domain=.home'],
    ['__Host-a=1; Path=/; Secure', '__Host-a=1; Path=/; Secure'],
    ['a=1; Path=/; Domain=10.0.0.9', 'a=1; Path=/', mapping({ prefix: '' })],
  ]
  for (const [given, wanted, with_ = mapping()] of cases) t.equal(rewriteCookie(given, with_), wanted, given)
})

const path = fc
  .webPath()
  .map((text) => (text.startsWith('/') && !text.startsWith('//') ? text : `/p${text.replace(/^\/+/, '/')}`))

t.test('R3 properties', async (t) => {
  const prefixes = fc.constantFrom('/services/up', '/services/a-b.c')
  const bases = fc.constantFrom('', '/base', '/a/b')
  fc.assert(
    fc.property(path, prefixes, bases, (rest, prefix, basePath) => {
      fc.pre(!rest.startsWith('/services/'))
      const with_ = mapping({ prefix, basePath })
      const wanted = prefix + rest
      return (
        rewriteUrl(basePath + rest, with_) === wanted && rewriteUrl(`http://10.0.0.9:3000${basePath}${rest}`, with_) === wanted
      )
    }),
  )
  t.pass('what lies below the service gets the prefix, relative or absolute')
  fc.assert(
    fc.property(fc.webUrl(), fc.constantFrom(mapping(), based), (url, with_) => {
      fc.pre(!/^https?:\/\/(?:10\.0\.0\.9:3000|gw\.home:8080)(?:\/|$)/i.test(url))
      return rewriteUrl(url, with_) === url
    }),
  )
  t.pass('what lies elsewhere stays')
  fc.assert(
    fc.property(fc.oneof(fc.string(), path, fc.webUrl()), (text) => {
      const once = rewriteUrl(text, mapping())
      const cookie = rewriteCookie(text, mapping())
      return rewriteUrl(once, mapping()) === once && rewriteCookie(cookie, mapping()) === cookie
    }),
  )
  t.pass('and doing it twice changes nothing')
})

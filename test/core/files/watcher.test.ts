import { execFile } from 'node:child_process'
import {
  appendFileSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, relative } from 'node:path'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import { contentHash } from '../../../core/files/content-hash.ts'
import { EMPTY, takeSnapshot } from '../../../core/files/snapshot.ts'
import { Watcher, type WatcherOptions, type WatchTargets } from '../../../core/files/watcher.ts'
import { until } from '../../helpers/until.ts'

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

const url = (path: string) => JSON.stringify(pathToFileURL(path).href)

/** A watcher without polling, so that what it sees it was hinted at; with what it reported. */
async function setup(t: Test, files: object, targets: Partial<WatchTargets> = { folders: ['s'] }, options: WatcherOptions = {}) {
  const dir = t.testdir(files as never)
  const at = (name: string) => join(dir, name)
  const reports: string[][] = []
  const errors: unknown[] = []
  const watcher = new Watcher((changed) => void reports.push([...changed].map((path) => relative(dir, path)).toSorted()), {
    pollMs: 0,
    onError: (error) => errors.push(error),
    ...options,
  })
  t.teardown(() => watcher.close())
  const watch = ({ folders = [], files = [], known }: Partial<WatchTargets>) =>
    watcher.watch({ folders: folders.map(at), files: files.map(at), ...(known && { known }) })
  await watch(targets)
  /** Does something and waits until exactly these files were reported, in one report. */
  const expect = async (what: string, act: () => void, ...names: string[]) => {
    reports.length = 0
    const start = performance.now()
    act()
    await until(() => reports.length > 0, what)
    const ms = performance.now() - start
    t.same(reports, [names], `${what} (${Math.round(ms)} ms)`)
    return ms
  }
  const expectNothing = async (what: string, act: () => void) => {
    reports.length = 0
    act()
    await pause(60)
    await watcher.scan()
    t.same(reports, [], what)
  }
  const save = (name: string, content: string) => {
    mkdirSync(dirname(at(name)), { recursive: true })
    writeFileSync(at(name), content)
  }
  return { dir, at, watcher, watch, reports, errors, expect, expectNothing, save }
}

t.test('R14 R16 every way of saving is seen, without polling', async (t) => {
  const { at, expect, expectNothing, save, errors } = await setup(t, { s: { 'a.ts': '0', 'b.yml': '0' } })
  await expect('overwritten', () => save('s/a.ts', '1'), 's/a.ts')
  const renameOver = () => {
    save('s/.a.ts.tmp', '2')
    renameSync(at('s/.a.ts.tmp'), at('s/a.ts'))
  }
  await expect('another file renamed over it', renameOver, 's/a.ts')
  const vim = () => {
    renameSync(at('s/a.ts'), at('s/a.ts~'))
    save('s/a.ts', '3')
    unlinkSync(at('s/a.ts~'))
  }
  await expect('the vim way', vim, 's/a.ts')
  await expect('a new file', () => save('s/new.ts', '1'), 's/new.ts')
  await expect('a new folder', () => save('s/lib/x.ts', '1'), 's/lib/x.ts')
  await expect('in the new folder', () => save('s/lib/x.ts', '2'), 's/lib/x.ts')
  await expect('in a folder in it', () => save('s/lib/deep/x.json', '1'), 's/lib/deep/x.json')
  await expect('there, too', () => save('s/lib/deep/x.json', '2'), 's/lib/deep/x.json')
  await expect('deleted', () => unlinkSync(at('s/new.ts')), 's/new.ts')
  await expect('made anew', () => save('s/new.ts', '1'), 's/new.ts')
  await expect(
    'deleted and made anew at once',
    () => {
      unlinkSync(at('s/new.ts'))
      save('s/new.ts', '2')
    },
    's/new.ts',
  )
  await expect('then changed', () => save('s/new.ts', '3'), 's/new.ts')
  const two = () => {
    save('s/a.ts', '4')
    save('s/b.yml', '4')
  }
  await expect('two files', two, 's/a.ts', 's/b.yml')
  await expect('a folder deleted', () => rmSync(at('s/lib'), { recursive: true }), 's/lib/deep/x.json', 's/lib/x.ts')
  await expect('a folder back', () => save('s/lib/x.ts', '1'), 's/lib/x.ts')
  await expect('and changed', () => save('s/lib/x.ts', '2'), 's/lib/x.ts')
  await expectNothing('touched', () => utimesSync(at('s/a.ts'), new Date(), new Date()))
  await expectNothing('saved without a change', () => save('s/a.ts', '4'))
  await expectNothing('other extensions, node_modules, folders with a dot', () => {
    save('s/notes.txt', 'x')
    for (const folder of ['s/node_modules', 's/.git']) save(`${folder}/x.ts`, '1')
  })
  t.same(errors, [])
})

t.test('R14 folders that come, go and are replaced', async (t) => {
  const { at, expect, expectNothing, save } = await setup(t, { s: { 'a.ts': '1' } }, { folders: ['s', 'later/plugins'] })
  await expectNothing('a folder on the way', () => mkdirSync(at('later')))
  await expect('a folder that appears', () => save('later/plugins/p.ts', '1'), 'later/plugins/p.ts')
  await expect('is watched', () => save('later/plugins/p.ts', '2'), 'later/plugins/p.ts')
  await expect('all of it gone', () => rmSync(at('later'), { recursive: true }), 'later/plugins/p.ts')
  const whole = () => save('later/plugins/p.ts', '3')
  await expect('all of it back at once', whole, 'later/plugins/p.ts')
  await expect('and watched', () => save('later/plugins/p.ts', '4'), 'later/plugins/p.ts')
  const replace = () => {
    mkdirSync(at('other'))
    save('other/a.ts', '2')
    renameSync(at('s'), at('old'))
    renameSync(at('other'), at('s'))
  }
  await expect('another folder under the same name', replace, 's/a.ts')
  await expect('is watched, too', () => save('s/a.ts', '3'), 's/a.ts')
  await expectNothing('the former one is not', () => save('old/a.ts', '9'))
})

t.test('R14 R31 a mounted ConfigMap: a link is swapped', async (t) => {
  const { dir, at, watch, expect } = await setup(
    t,
    { s: { '..1': { 'a.ts': '1', 'c.yml': '1' }, '..2': { 'a.ts': '2', 'c.yml': '2' } } },
    {},
  )
  symlinkSync('..1', at('s/..data'))
  for (const name of ['a.ts', 'c.yml']) symlinkSync(`..data/${name}`, at(`s/${name}`))
  const swap = (to: string) => {
    symlinkSync(to, at('s/..tmp'))
    renameSync(at('s/..tmp'), at('s/..data'))
  }
  await watch({ folders: ['s'] })
  await expect('seen as a folder', () => swap('..2'), 's/a.ts', 's/c.yml')
  await watch({ files: ['s/c.yml'] })
  await expect('seen as a single file', () => swap('..1'), 's/c.yml')
  symlinkSync('..', at('s/up'))
  await watch({ folders: [relative(dir, at('s')), 's/up'] })
  await expect('links in circles end', () => swap('..2'), 's/a.ts', 's/c.yml', 's/up/s/a.ts', 's/up/s/c.yml').catch(
    () => undefined,
  )
})

t.test('R16 single files, whatever happens to them and around them', async (t) => {
  const { at, expect, expectNothing, save } = await setup(t, { 'c.conf': '1' }, { files: ['c.conf', 'absent/c.yml'] })
  await expect('overwritten', () => save('c.conf', '2'), 'c.conf')
  await expect(
    'renamed over',
    () => {
      save('c.tmp', '3')
      renameSync(at('c.tmp'), at('c.conf'))
    },
    'c.conf',
  )
  await expect('after that', () => save('c.conf', '4'), 'c.conf')
  await expect('deleted', () => unlinkSync(at('c.conf')), 'c.conf')
  await expect('back', () => save('c.conf', '5'), 'c.conf')
  await expect('in a folder that appears', () => save('absent/c.yml', '1'), 'absent/c.yml')
  await expectNothing('its neighbours', () => {
    save('absent/d.yml', '1')
    save('d.ts', '1')
  })
})

const seconds = async (t: Test, gap: number) => {
  const { at, reports, save } = await setup(t, { s: { 'a.ts': '' } })
  let shown = ''
  let report = 0
  const seen = () => {
    for (; report < reports.length; report++) shown = readFileSync(at('s/a.ts'), 'utf8')
    return shown
  }
  for (let n = 100; n < 200; n++) {
    save('s/a.ts', `first ${n}`)
    await pause(gap)
    seen()
    save('s/a.ts', `again ${n}`) // the same length
    await until(() => seen() === `again ${n}`, `second save ${n}, ${gap} ms after the first`)
  }
  t.pass('100 of 100')
}

t.test('R16 a second save shortly after the first is never lost', async (t) => {
  t.jobs = 3
  for (const gap of [5, 15, 30]) t.test(`${gap} ms after it`, { buffered: true }, (t) => seconds(t, gap))
})

t.test('R16 a burst of saves: the last content is reported, and the wait is bounded', async (t) => {
  const contents: string[] = []
  const dir = t.testdir({ 'a.ts': '' })
  const path = join(dir, 'a.ts')
  const watcher = new Watcher(() => void contents.push(readFileSync(path, 'utf8')), { pollMs: 0 })
  t.teardown(() => watcher.close())
  await watcher.watch({ folders: [dir], files: [path] })
  for (let n = 1; n <= 20; n++) {
    writeFileSync(path, `burst ${n}`)
    await pause(5)
  }
  await until(() => contents.at(-1) === 'burst 20', 'the last of 20')
  t.comment(`20 saves, ${contents.length} reports`)

  contents.length = 0
  for (let n = 1; contents.length === 0 && n < 1_000; n++) {
    writeFileSync(path, `endless ${n}`)
    await pause(5)
  }
  t.ok(contents.length > 0, 'saving without end does not put it off without end')
})

t.test('R16 a change during a scan is not lost', async (t) => {
  const files = Object.fromEntries(Array.from({ length: 100 }, (_, n) => [`f${n}.ts`, '']))
  const { watcher, reports, save } = await setup(t, { s: files }, { folders: ['s'] }, { quietMs: 0 })
  for (let n = 1; n <= 60; n++) {
    reports.length = 0
    const scan = watcher.scan()
    for (let turn = 0; turn < n % 12; turn++) await new Promise(setImmediate)
    save('s/f50.ts', `${n}`)
    await scan
    await until(() => reports.length > 0, `change ${n}`)
    await watcher.scan()
    t.same(new Set(reports.flat()), new Set(['s/f50.ts']))
  }
})

t.test('R14 a change in a new folder, before it is listened to, is not lost', async (t) => {
  const { at, reports, save } = await setup(t, { s: {} }, { folders: ['s'] }, { quietMs: 0 })
  for (let n = 0; n < 100; n++) {
    reports.length = 0
    mkdirSync(at(`s/${n}`))
    save(`s/${n}/x.ts`, 'first')
    const end = performance.now() + (n % 50) / 5
    while (performance.now() < end) await new Promise(setImmediate)
    save(`s/${n}/x.ts`, 'again')
    save(`s/${n}/y.ts`, 'new')
    await until(() => reports.flat().includes(`s/${n}/y.ts`), `folder ${n}`)
    rmSync(at(`s/${n}`), { recursive: true })
  }
  t.pass('100 of 100')
})

t.test('watching something else: what is new is compared with what was read', async (t) => {
  const { at, watch, reports, expect, expectNothing, save } = await setup(t, {
    s: { 'a.ts': '1' },
    lib: { 'x.ts': '1', 'y.ts': '1' },
  })
  await expectNothing('nothing', () => undefined)
  await watch({ folders: ['s'], files: ['lib/x.ts'] })
  t.same(reports, [], 'a file newly watched is not a change')
  await expect('but then changes of it are', () => save('lib/x.ts', '2'), 'lib/x.ts')

  reports.length = 0
  save('lib/y.ts', '2')
  const known = new Map([
    [at('lib/y.ts'), contentHash('1')],
    [at('lib/x.ts'), contentHash('1')],
    [at('lib/z.ts'), undefined],
    [at('lib/gone.ts'), contentHash('1')],
  ])
  const files = ['lib/x.ts', 'lib/y.ts', 'lib/z.ts', 'lib/gone.ts']
  await watch({ folders: ['s'], files, known })
  t.same(reports, [['lib/gone.ts', 'lib/y.ts']], 'changed between being read and being watched')
  await watch({ folders: ['s'], files, known })
  t.equal(reports.length, 1, 'and reported once')

  reports.length = 0
  save('s/a.ts', '2')
  save('s/b.ts', '2')
  await watch({ folders: ['s'], files })
  t.same(reports, [['s/a.ts', 's/b.ts']], 'what was watched before is not taken as it is')
  await watch({ folders: [], files: [] })
  await expectNothing('no longer watched', () => save('s/a.ts', '3'))
})

t.test('scan() reports at once; polling sees what nothing hinted at', async (t) => {
  const { at, watcher, reports, save } = await setup(t, { s: { 'a.ts': '1' } }, {}, { quietMs: 60_000, maxWaitMs: 60_000 })
  await watcher.watch({ folders: [at('s')], files: [] })
  save('s/a.ts', '2')
  await watcher.scan()
  t.same(reports, [['s/a.ts']])

  const polled: string[] = []
  const poller = new Watcher((changed) => void polled.push(...changed), { quietMs: 60_000, maxWaitMs: 60_000, pollMs: 20 })
  t.teardown(() => poller.close())
  await poller.watch({ folders: [at('s')], files: [] })
  save('s/a.ts', '3')
  await until(() => polled.length > 0, 'the poll')
  t.same(polled, [at('s/a.ts')])
})

t.test('a look for which there is time takes one file after the other, until it is hurried; it sees the same', async (t) => {
  const names = Array.from({ length: 90 }, (_, i) => `${i}.ts`)
  const dir = t.testdir(Object.fromEntries(names.map((name) => [name, name])))
  const targets = { folders: [dir], files: [join(dir, 'missing.yml')] }
  const hurried = await takeSnapshot(targets, EMPTY, { hurried: true })
  t.equal(hurried.seen.size, 91)
  for (const hurriedAfter of [0, 1, 40, 90, 91, 1000]) {
    let looks = 0
    const pace = {
      get hurried() {
        return ++looks > hurriedAfter
      },
    }
    const { seen } = await takeSnapshot(targets, EMPTY, pace)
    t.same([...seen].sort(), [...hurried.seen].sort(), `hurried after ${hurriedAfter}`)
    t.equal(looks, Math.min(hurriedAfter + 1, 92), 'after each file it was asked whether there still is time')
  }
})

t.test('errors of onChange are told and kill nothing', async (t) => {
  const dir = t.testdir({ 'a.ts': '1' })
  const errors: unknown[] = []
  let calls = 0
  const watcher = new Watcher(
    () => {
      calls++
      if (calls === 1) throw new Error('sync')
      return Promise.reject(new Error('async'))
    },
    { pollMs: 0, onError: (error) => errors.push(String(error)) },
  )
  await watcher.watch({ folders: [dir], files: [] })
  for (let n = 1; n <= 3; n++) {
    writeFileSync(join(dir, 'a.ts'), `change ${n}`)
    await until(() => calls === n, `call ${n}`)
  }
  await until(() => errors.length === 3, 'the errors')
  t.same(errors, ['Error: sync', 'Error: async', 'Error: async'])
  await watcher.close()
  writeFileSync(join(dir, 'a.ts'), 'after')
  await watcher.scan()
  t.equal(calls, 3, 'nothing is reported after close()')
})

t.test('files that others write beside the configuration cause no scans', async (t) => {
  const { at, reports, save } = await setup(t, { 'c.yml': '1', link: {}, 'h.db-wal': '' }, { files: ['c.yml', 'link/l.yml'] })
  // A link's target outside of what is watched changes without a hint: that it is reported shows that there was a scan.
  symlinkSync('../h.db-wal', at('link/l.yml'))
  await until(() => reports.length > 0, 'the link')
  reports.length = 0
  for (let n = 0; n < 50; n++) {
    appendFileSync(at('h.db-wal'), 'x')
    await pause(6)
  }
  t.same(reports, [])
  save('c.yml', '2')
  await until(() => reports.length > 0, 'the file itself')
  t.same(reports, [['c.yml', 'link/l.yml']])
})

t.test('close() leaves nothing that keeps the process alive', async (t) => {
  const dir = t.testdir({
    'run.mjs': `import { Watcher } from ${url(join(import.meta.dirname, '../../../core/files/watcher.ts'))}
const watcher = new Watcher(() => undefined)
await watcher.watch({ folders: ['.', 'later'], files: ['run.mjs'] })
await watcher.close()`,
  })
  const tsx = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href
  await promisify(execFile)(process.execPath, ['--import', tsx, 'run.mjs'], {
    cwd: dir,
    env: { PATH: process.env.PATH },
    timeout: 30_000,
  })
  t.pass('ended by itself')
})

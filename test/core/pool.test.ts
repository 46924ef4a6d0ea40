import t from 'tap'
import { Pool } from '../../core/pool.ts'

t.test('a value lives from its first holder to its last', async (t) => {
  const pool = new Pool()
  const disposed: string[] = []
  const keep = (holding: ReturnType<Pool['hold']>, name: string) =>
    holding.keep(
      'thing@1',
      () => ({ name }),
      (value) => void disposed.push(value.name),
    )
  const [a, b] = [pool.hold(), pool.hold()]
  t.equal(keep(a, 'first').name, 'first')
  t.equal(keep(b, 'second').name, 'first', 'made once')
  keep(a, 'third')
  await a.release()
  t.same(disposed, [])
  t.same(pool.keys(), ['thing@1'])
  await b.release()
  t.same(disposed, ['first'])
  t.same(pool.keys(), [])
  await b.release()
  t.same(disposed, ['first'], 'released once')
})

t.test('every value is disposed of, though one fails', async (t) => {
  const pool = new Pool()
  const holding = pool.hold()
  let disposed = 0
  holding.keep(
    'a@1',
    () => 1,
    () => Promise.reject(new Error('stuck')),
  )
  holding.keep(
    'b@1',
    () => 2,
    () => void disposed++,
  )
  await t.rejects(holding.release(), AggregateError)
  t.equal(disposed, 1)
  t.same(pool.keys(), [])
})

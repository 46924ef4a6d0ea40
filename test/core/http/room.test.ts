import t from 'tap'
import { giveBackRoom, takeRoom } from '../../../core/http/room.ts'

const MIB = 2 ** 20

t.test('large rooms are used again, by who needs about as much', (t) => {
  const room = takeRoom(MIB - 1000)
  t.equal(room.length, MIB)
  giveBackRoom(room)
  t.not(takeRoom(MIB / 2), room, 'too large')
  t.not(takeRoom(MIB + 1), room, 'too small')
  t.equal(takeRoom(MIB), room)
  t.not(takeRoom(MIB), room, 'it is taken')
  t.end()
})

t.test('small ones are not kept, and not more than 32 MiB are', (t) => {
  const small = takeRoom(1000)
  giveBackRoom(small)
  t.not(takeRoom(1000), small)
  const rooms = Array.from({ length: 40 }, () => takeRoom(MIB))
  for (const room of rooms) giveBackRoom(room)
  const again = Array.from({ length: 40 }, () => takeRoom(MIB))
  t.equal(again.filter((room) => rooms.includes(room)).length, 32)
  t.end()
})

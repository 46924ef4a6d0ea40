import { connect } from 'node:net'

/** Sends bytes as they are and answers everything that came back until the connection ended, or `enough` says so. */
export function sendRaw(
  port: number,
  bytes: string | Buffer,
  enough: (received: string) => boolean = () => false,
): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1')
    let received = ''
    const end = () => {
      clearTimeout(timer)
      socket.destroy()
      resolve(received)
    }
    const timer = setTimeout(() => reject(new Error(`no end after 10 s; received so far: ${received}`)), 10_000)
    socket.setEncoding('latin1')
    socket.on('data', (chunk) => {
      received += String(chunk)
      if (enough(received)) end()
    })
    socket.on('error', end)
    socket.on('close', end)
    socket.write(bytes)
  })
}

/** Status, headers (lower case) and body of one raw answer. */
export function parseRaw(received: string): { status: number; headers: Record<string, string>; body: string } {
  const [head = '', ...rest] = received.split('\r\n\r\n')
  const [line = '', ...fields] = head.split('\r\n')
  const headers = Object.fromEntries(
    fields.map((field) => {
      const at = field.indexOf(':')
      return [field.slice(0, at).toLowerCase(), field.slice(at + 1).trim()]
    }),
  )
  return { status: Number(line.split(' ')[1]), headers, body: rest.join('\r\n\r\n') }
}

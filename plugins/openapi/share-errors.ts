type Json = Record<string, unknown>

interface Use {
  readonly responses: Record<string, Json>
  readonly status: string
}

/** Puts errors that several operations answer in the same words in one place. Answers them, as `components.responses`. */
export function shareErrors(operations: readonly Json[]): Record<string, Json> {
  const alike = new Map<string, Use[]>()
  for (const { responses } of operations as readonly { responses: Record<string, Json> }[]) {
    for (const [status, response] of Object.entries(responses)) {
      const text = JSON.stringify(response)
      if (text.includes('#/components/schemas/Error"')) alike.set(text, [...(alike.get(text) ?? []), { responses, status }])
    }
  }
  const shared: Record<string, Json> = {}
  for (const [text, uses] of alike) {
    const name = nameOf(text, uses[0]!.status)
    if (uses.length < 2 || Object.hasOwn(shared, name)) continue
    shared[name] = JSON.parse(text) as Json
    for (const { responses, status } of uses) responses[status] = { $ref: `#/components/responses/${name}` }
  }
  return shared
}

/** By its code, if it is one: `UnknownService`. */
function nameOf(text: string, status: string): string {
  if (status === 'default') return 'AnyError'
  const codes = (/"enum":\[([^\]]*)\]/.exec(text)?.[1] ?? '').split(',')
  const words = codes.length === 1 ? JSON.parse(codes[0] || '""') : ''
  return words === '' ? `Errors${status}` : String(words).replace(/(?:^|_)(\w)/g, (_all, letter: string) => letter.toUpperCase())
}

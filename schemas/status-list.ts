import { type SchemaOptions, Type } from '@sinclair/typebox'

/** A list of single HTTP statuses and ranges (`[204, '300-399']`) between `first`00 and `last`99. */
export const StatusList = (first: number, last: number, options: SchemaOptions = {}) =>
  Type.Array(
    Type.Union([
      Type.Integer({ minimum: first * 100, maximum: last * 100 + 99 }),
      Type.String({
        title: `a status as ${first}00 or a range as "${first}00-${last}99"`,
        pattern: `^[${first}-${last}]\\d\\d(-[${first}-${last}]\\d\\d)?$`,
      }),
    ]),
    options,
  )

/** Tells the statuses of such a list. */
export function statusMatcher(list: readonly (number | string)[]): (status: number) => boolean {
  const ranges = list.map((entry) => {
    const [from, to] = String(entry).split('-').map(Number)
    return [from!, to ?? from!] as const
  })
  return (status) => ranges.some(([from, to]) => status >= from && status <= to)
}

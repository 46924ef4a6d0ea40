/** Where something stands among bytes: from its first byte to behind its last. */
export interface Span {
  readonly from: number
  readonly to: number
}

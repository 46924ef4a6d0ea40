/** After so many requests in a row, none of which had another beside it, the next is not alone by chance. */
const IN_A_ROW = 16

/** Finds out whether requests come one at a time, so that their answers need not wait for others to go out in a row with. */
export class Singly {
  #inARow = 0

  /** A request begins while `others` are under way. @returns whether it is one of many that were alone. */
  begins(others: number): boolean {
    if (others > 0) this.#inARow = 0
    else this.#inARow++
    return this.#inARow > IN_A_ROW
  }
}

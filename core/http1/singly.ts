/** After so many requests in a row, none of which had another beside it, the next is not alone by chance. */
const IN_A_ROW = 16

/** Finds out whether requests come one at a time, so that their answers need not wait for others to go out in a row with. */
export class Singly {
  #underWay = 0
  #inARow = 0

  /** A request is under way from here on. @returns whether it is one of many that were alone. */
  begin(): boolean {
    if (this.#underWay++ > 0) this.#inARow = 0
    else this.#inARow++
    return this.#inARow > IN_A_ROW
  }

  /** One is over. */
  end(): void {
    this.#underWay--
  }
}

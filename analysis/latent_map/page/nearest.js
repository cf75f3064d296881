// The nearest point to a place, by a uniform grid of about two points a cell.

export class Nearest {
  #places;
  #side;
  #first; // of each cell, in #order
  #order;

  /** `places` are x, y of points on [-1, 1]. */
  constructor(places) {
    const count = places.length / 2;
    this.#places = places;
    this.#side = Math.max(1, Math.min(1024, Math.round(Math.sqrt(count / 2))));
    const cells = new Uint32Array(count);
    this.#first = new Uint32Array(this.#side ** 2 + 1);
    for (let point = 0; point < count; point++) {
      cells[point] = this.#cell(places[2 * point]) + this.#side * this.#cell(places[2 * point + 1]);
      this.#first[cells[point] + 1]++;
    }
    for (let cell = 0; cell < this.#side ** 2; cell++) this.#first[cell + 1] += this.#first[cell];
    const filled = this.#first.slice();
    this.#order = new Uint32Array(count);
    for (let point = 0; point < count; point++) this.#order[filled[cells[point]]++] = point;
  }

  #cell(value) {
    return Math.max(0, Math.min(this.#side - 1, Math.floor(((value + 1) / 2) * this.#side)));
  }

  /** The nearest point no farther than `reach`, or null. */
  at(x, y, reach = Infinity) {
    const [column, row, width] = [this.#cell(x), this.#cell(y), 2 / this.#side];
    let [best, found] = [reach * reach, null];
    for (let ring = 0; ring < this.#side; ring++) {
      if (found !== null && best < ((ring - 1) * width) ** 2) break;
      if ((ring - 1) * width > reach) break;
      for (let j = Math.max(0, row - ring); j <= Math.min(this.#side - 1, row + ring); j++) {
        const step = Math.abs(j - row) === ring ? 1 : Math.max(1, 2 * ring);
        for (let i = column - ring; i <= column + ring; i += step) {
          if (i < 0 || i >= this.#side) continue;
          const cell = i + this.#side * j;
          for (let k = this.#first[cell]; k < this.#first[cell + 1]; k++) {
            const point = this.#order[k];
            const distance = (this.#places[2 * point] - x) ** 2 + (this.#places[2 * point + 1] - y) ** 2;
            if (distance <= best) [best, found] = [distance, point];
          }
        }
      }
    }
    return found;
  }

  /** The nearest point in a direction, no more than 45 degrees off it, or null. */
  towards(x, y, right, up) {
    let [best, found] = [Infinity, null];
    for (let point = 0; point < this.#order.length; point++) {
      const [dx, dy] = [this.#places[2 * point] - x, this.#places[2 * point + 1] - y];
      const along = dx * right + dy * up;
      const aside = Math.abs(dx * up - dy * right);
      const distance = along * along + aside * aside;
      if (along > 1e-6 && aside <= along && distance < best) [best, found] = [distance, point];
    }
    return found;
  }
}

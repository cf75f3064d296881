// Which part of the map is seen: a centre and a scale.

export class View {
  width = 1;
  height = 1;
  x = 0;
  y = 0;
  zoom = 1;

  /** Pixels of a unit of the map. */
  get scale() {
    return (this.zoom * Math.min(this.width, this.height)) / 2.2;
  }

  toPixels(x, y) {
    return [this.width / 2 + (x - this.x) * this.scale, this.height / 2 - (y - this.y) * this.scale];
  }

  toPlace(column, row) {
    return [this.x + (column - this.width / 2) / this.scale, this.y - (row - this.height / 2) / this.scale];
  }

  pan(columns, rows) {
    this.x = Math.max(-1, Math.min(1, this.x - columns / this.scale));
    this.y = Math.max(-1, Math.min(1, this.y + rows / this.scale));
  }

  /** The place below a pixel stays where it is. */
  zoomAt(factor, column, row) {
    const [x, y] = this.toPlace(column, row);
    this.zoom = Math.max(0.8, Math.min(200, this.zoom * factor));
    const [newX, newY] = this.toPlace(column, row);
    this.x += x - newX;
    this.y += y - newY;
  }

  reset() {
    [this.x, this.y, this.zoom] = [0, 0, 1];
  }
}

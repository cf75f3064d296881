// The points, drawn by WebGL 2. They come in a fair order, so while the view moves the first ones stand for all.

const WHILE_MOVING = 50_000;
const IDLE_MS = 150;

const VERTEX = `#version 300 es
in vec2 place;
in vec4 colour;
uniform vec2 centre, factor;
uniform float size;
out vec4 shade;
void main() {
  gl_Position = vec4((place - centre) * factor, 0.0, 1.0);
  gl_PointSize = size;
  shade = colour;
}`;
const FRAGMENT = `#version 300 es
precision mediump float;
in vec4 shade;
out vec4 pixel;
void main() {
  float distance = length(gl_PointCoord - 0.5);
  if (distance > 0.5) discard;
  pixel = shade;
}`;

export class Cloud {
  #gl;
  #uniforms;
  #buffers;
  #count = 0;

  /** Throws an Error where the browser has no WebGL 2. */
  constructor(canvas) {
    const gl = (this.#gl = canvas.getContext("webgl2", { antialias: false, alpha: false }));
    if (!gl) throw new Error("This browser offers no WebGL 2, which the map is drawn by; use another or turn it on.");
    const program = gl.createProgram();
    for (const [kind, text] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, text);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(program));
    gl.useProgram(program);
    this.#uniforms = Object.fromEntries(["centre", "factor", "size"].map((n) => [n, gl.getUniformLocation(program, n)]));
    this.#buffers = { place: gl.createBuffer(), colour: gl.createBuffer() };
    const attributes = { place: [2, gl.FLOAT, false], colour: [4, gl.UNSIGNED_BYTE, true] };
    for (const [name, [size, type, normalized]] of Object.entries(attributes)) {
      const index = gl.getAttribLocation(program, name);
      gl.bindBuffer(gl.ARRAY_BUFFER, this.#buffers[name]);
      gl.enableVertexAttribArray(index);
      gl.vertexAttribPointer(index, size, type, normalized, 0, 0);
    }
    gl.clearColor(0.063, 0.071, 0.086, 1);
  }

  /** `places` are x, y of points, `colours` RGBA bytes of them. */
  set(places, colours) {
    this.#upload("place", places);
    this.#upload("colour", colours);
    this.#count = places.length / 2;
  }

  #upload(name, values) {
    this.#gl.bindBuffer(this.#gl.ARRAY_BUFFER, this.#buffers[name]);
    this.#gl.bufferData(this.#gl.ARRAY_BUFFER, values, this.#gl.STATIC_DRAW);
  }

  /** Draw the view; whether points were left out, as `lastMoved` is so recent. */
  draw(view, lastMoved, ratio) {
    const gl = this.#gl;
    const whole = this.#count <= WHILE_MOVING || performance.now() - lastMoved > IDLE_MS;
    gl.viewport(0, 0, gl.drawingBufferWidth, gl.drawingBufferHeight);
    gl.clear(gl.COLOR_BUFFER_BIT);
    gl.uniform2f(this.#uniforms.centre, view.x, view.y);
    gl.uniform2f(this.#uniforms.factor, (2 * view.scale) / view.width, (2 * view.scale) / view.height);
    const spacing = view.scale * Math.sqrt(1 / Math.max(1, this.#count));
    gl.uniform1f(this.#uniforms.size, ratio * Math.max(2, Math.min(9, spacing)));
    gl.drawArrays(gl.POINTS, 0, whole ? this.#count : WHILE_MOVING);
    return !whole;
  }
}

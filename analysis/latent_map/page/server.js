// The server of the page: requests, and the sounds that it answered last.

const KEPT = 48; // sounds, of 2 MB at most, so that an undo is instant

export class ServerError extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

async function checked(answer) {
  if (answer.ok) return answer;
  const said = await answer.json().catch(() => ({}));
  throw new ServerError(said.error ?? `the server answered ${answer.status}`, answer.status);
}

export async function json(path, options) {
  return (await checked(await fetch(path, options))).json();
}

/** A column as {values, width}. */
export async function column(map, name, points) {
  const answer = await checked(await fetch(`/api/maps/${map}/columns/${name}?points=${points}`));
  const buffer = await answer.arrayBuffer();
  const values = name === "effect" ? new Uint8Array(buffer) : new Float32Array(buffer);
  return { values, width: Number(answer.headers.get("X-Width")) };
}

function milliseconds(header) {
  const parts = (header ?? "").split(",").map((part) => /(\w+);dur=([\d.]+)/.exec(part)).filter(Boolean);
  return Object.fromEntries(parts.map(([, name, value]) => [name, Number(value)]));
}

async function sound(path, signal) {
  const begun = performance.now();
  const answer = await checked(await fetch(path, { signal }));
  const pcm = new Float32Array(await answer.arrayBuffer());
  const header = (name) => answer.headers.get(name);
  const [channels, length] = [Number(header("X-Channels")), Number(header("X-Samples"))];
  const server = Object.values(milliseconds(header("Server-Timing"))).reduce((sum, ms) => sum + ms, 0);
  return {
    channels: Array.from({ length: channels }, (_, channel) => pcm.subarray(channel * length, (channel + 1) * length)),
    rate: Number(header("X-Sample-Rate")),
    effect: header("X-Effect"),
    settings: JSON.parse(header("X-Settings") ?? "null"),
    point: header("X-Point") ? Number(header("X-Point")) : null,
    gainDb: Number(header("X-Gain-Db")),
    shortDb: Number(header("X-Short-Db")),
    serverMs: server,
    networkMs: performance.now() - begun - server,
  };
}

/** Renders, of which only the newest is waited for. */
export class Renders {
  #client = crypto.randomUUID();
  #kept = new Map();
  #current = null;

  /** The sound of a query; an older one that is still awaited is given up, and rejects with an AbortError. */
  async get(query) {
    this.#current?.abort();
    this.#current = null;
    const key = query.toString();
    const known = this.#kept.get(key);
    if (known) {
      this.#keep(key, known);
      return { ...known, serverMs: 0, networkMs: 0 };
    }
    const mine = (this.#current = new AbortController());
    try {
      const found = await sound(`/api/render?${key}&client=${this.#client}`, mine.signal);
      this.#keep(key, found);
      return found;
    } finally {
      if (this.#current === mine) this.#current = null;
    }
  }

  dry(source) {
    return sound(`/api/dry?source=${encodeURIComponent(source)}`);
  }

  #keep(key, found) {
    this.#kept.delete(key);
    this.#kept.set(key, found);
    if (this.#kept.size > KEPT) this.#kept.delete(this.#kept.keys().next().value);
  }
}

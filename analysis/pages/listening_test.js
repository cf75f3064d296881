// The script of a listening test: order by a seed, sounds that switch in place, ratings that a reload keeps, and the CSV.
"use strict";

const read = (id) => JSON.parse(document.getElementById(id).textContent);
const test = read("test"), openSounds = read("open-sounds"), labels = read("labels");
const all = (selector, inside = document) => [...inside.querySelectorAll(selector)];
const part = (name) => document.querySelector(`[data-part="${name}"]`);
const KEY = `jaxvae-listening-test-${test.id}`;
const SWITCH_S = 0.005; // time constant of the crossfade: over in 20 ms
const SEAM_S = 0.005; // fade at both ends of the loop
const LEAST_HEARD_S = 1;
const LEAST_LOOP_S = 0.3;
const RATING_KEYS = ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "PageUp", "PageDown", "Home", "End"];
const empty = (value) => test.items.map(() => test.conditions.map(() => value));

// ---- Order -------------------------------------------------------------------------------------------------------

function generator(seed) { // xorshift (Marsaglia 2003)
  let x = (Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) >>> 0) || 1;
  const next = () => {
    x ^= x << 13; x ^= x >>> 17; x ^= x << 5;
    return (x >>> 0) / 2 ** 32;
  };
  for (let i = 0; i < 20; i++) next(); // like seeds begin alike
  return next;
}

function shuffled(count, random) { // Fisher & Yates
  const order = Array.from({ length: count }, (_, index) => index);
  for (let i = count - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
}

function drawn(seed) { // items in the order in which they are shown, and of each its conditions, slot by slot
  const random = generator(seed);
  const items = shuffled(test.items.length, random);
  return { items, conditions: test.items.map(() => shuffled(test.conditions.length, random)) };
}

// ---- What is kept ------------------------------------------------------------------------------------------------

const fresh = () => ({
  listener: "", seed: crypto.getRandomValues(new Uint32Array(1))[0], at: -1, ratings: empty(null), seconds: empty(0),
});

function kept() {
  try {
    return JSON.parse(localStorage.getItem(KEY));
  } catch (error) { // storage is refused
    part("unsaved").hidden = false;
    return null;
  }
}

function keep() {
  try {
    localStorage.setItem(KEY, JSON.stringify(state));
  } catch (error) { // storage is refused or full
    part("unsaved").hidden = false;
  }
}

let state = kept() ?? fresh(); // at: -1 before the first item, the number of items after the last
let order = drawn(state.seed);
const item = () => order.items[state.at];
const conditionOf = (slot) => order.conditions[item()][slot - 1];

// ---- Sound -------------------------------------------------------------------------------------------------------
// All sounds of an item run in one loop from one moment on, all but one at no gain: a switch keeps the place.

let context = null, voices = null, active = null, since = 0, turn = 0;
const decoded = new Map();

function decode(index) {
  if (!decoded.has(index)) {
    const sounds = Object.entries(test.items[index].sounds).map(async ([name, address]) => {
      const bytes = Uint8Array.from(atob(address.slice(address.indexOf(",") + 1)), (letter) => letter.charCodeAt(0));
      return [name, await context.decodeAudioData(bytes.buffer)];
    });
    decoded.set(index, Promise.all(sounds));
  }
  return decoded.get(index);
}

function cut(buffer, from, to) {
  const first = Math.round(from * buffer.sampleRate), samples = buffer.getChannelData(0).slice(first, Math.round(to * buffer.sampleRate));
  const fade = Math.round(SEAM_S * buffer.sampleRate);
  for (let i = 0; i < fade; i++) {
    samples[i] *= (i + 0.5) / fade;
    samples[samples.length - 1 - i] *= (i + 0.5) / fade;
  }
  const loop = new AudioBuffer({ length: samples.length, sampleRate: buffer.sampleRate });
  loop.copyToChannel(samples, 0);
  return loop;
}

function run(index, sounds, place) {
  const whole = sounds[0][1].duration, [from, to] = part("trial").hidden ? [0, whole] : loop(whole);
  const offset = place > from && place < to ? place - from : 0, now = context.currentTime;
  const gains = new Map(), sources = [];
  for (const [name, buffer] of sounds) {
    const source = new AudioBufferSourceNode(context, { buffer: cut(buffer, from, to), loop: true });
    const gain = new GainNode(context, { gain: 0 });
    source.connect(gain).connect(context.destination);
    source.start(now, offset);
    gains.set(name, gain.gain);
    sources.push(source);
  }
  voices = { index, sounds, gains, sources, from, to, whole, begun: now - offset };
}

const place = () => voices.from + ((context.currentTime - voices.begun) % (voices.to - voices.from));

function hear(name) {
  for (const [other, gain] of voices.gains) gain.setTargetAtTime(other === name ? 1 : 0, context.currentTime, SWITCH_S);
}

function halt() {
  hear(null);
  for (const source of voices.sources) source.stop(context.currentTime + 10 * SWITCH_S);
  voices = null;
}

async function play(index, name, button) {
  if (active?.button === button) return stop();
  const own = ++turn;
  context ??= new AudioContext({ sampleRate: test.rate });
  const [sounds] = await Promise.all([decode(index), context.resume()]);
  if (own !== turn) return; // another sound was asked for meanwhile, or none
  count();
  if (voices && voices.index !== index) halt();
  if (!voices) run(index, sounds, 0);
  hear(name);
  active = { button, name };
  since = context.currentTime;
  tell();
}

function stop() {
  turn += 1;
  if (!voices) return;
  count();
  halt();
  active = null;
  tell();
}

function count() { // the seconds that a sound to be rated was heard
  const slot = Number(active?.button.dataset.slot);
  if (slot && !part("trial").hidden) {
    state.seconds[item()][conditionOf(slot)] += context.currentTime - since;
    since = context.currentTime;
    keep();
  }
}

function tell() {
  for (const button of all("button.sound")) button.setAttribute("aria-pressed", button === active?.button);
  for (const row of all(".row")) row.classList.toggle("playing", row.contains(active?.button ?? null));
}

setInterval(() => {
  if (!active) return;
  count();
  if (!part("trial").hidden) advise();
}, 200);

(function move() {
  part("position").style.width = voices ? `${(100 * place()) / voices.whole}%` : "0";
  requestAnimationFrame(move);
})();

// ---- An item -----------------------------------------------------------------------------------------------------

function loop(whole) { // the range as it is set, at least LEAST_LOOP_S long
  const from = Math.min(Number(part("from").value), whole - LEAST_LOOP_S);
  return [Math.max(0, from), Math.min(whole, Math.max(Number(part("to").value), from + LEAST_LOOP_S))];
}

function ranged() {
  const whole = Number(part("to").max), [from, to] = loop(whole);
  for (const [name, value] of [["from", from], ["to", to]]) {
    part(name).value = value;
    part(`${name}-said`).textContent = `${value.toFixed(2)} s`;
    part(name).setAttribute("aria-valuetext", `${value.toFixed(2)} s`);
  }
  if (!voices) return;
  const { index, sounds } = voices, before = place();
  count();
  halt();
  run(index, sounds, before);
  hear(active.name);
}

function missing() {
  const slots = all(".rows button").map((button) => Number(button.dataset.slot)), index = item();
  const least = Math.min(LEAST_HEARD_S, test.seconds);
  return {
    heard: slots.filter((slot) => state.seconds[index][conditionOf(slot)] < least),
    rated: slots.filter((slot) => state.ratings[index][conditionOf(slot)] === null),
  };
}

function advise(refused = false) {
  const { heard, rated } = missing(), sounds = (slots) => `sound${slots.length > 1 ? "s" : ""} ${slots.join(", ")}`;
  const todo = [];
  if (heard.length) todo.push(`hear ${sounds(heard)} for a second or more`);
  if (rated.length) todo.push(`rate ${sounds(rated)}`);
  const text = todo.length
    ? `${refused ? "Not yet: " : "Before the next item, "}${todo.join(" and ")}. Ratings of an item can be compared only where all of its sounds were heard and rated.`
    : "All sounds were heard and rated. You may still change ratings.";
  if (part("todo").textContent !== text) part("todo").textContent = text;
  part("todo").classList.toggle("refused", refused);
  part("next").setAttribute("aria-disabled", todo.length > 0);
  return todo.length === 0;
}

function showRatings() {
  all(".row").forEach((row, place) => {
    const value = state.ratings[item()][conditionOf(place + 1)], input = row.querySelector("input");
    row.classList.toggle("unrated", value === null);
    input.value = value ?? 0;
    const label = labels[Math.min(labels.length - 1, Math.floor((value ?? 0) / (100 / labels.length)))];
    input.setAttribute("aria-valuetext", value === null ? "not rated" : `${value}, ${label}`);
    row.querySelector("output").textContent = value ?? "–";
  });
}

function rate(input) {
  state.ratings[item()][conditionOf(Number(input.dataset.slot))] = Number(input.value);
  keep();
  showRatings();
  advise();
}

function show() {
  const count = test.items.length;
  part("start").hidden = state.at !== -1;
  part("trial").hidden = state.at < 0 || state.at >= count;
  part("end").hidden = state.at < count;
  if (!part("start").hidden) {
    part("form").elements.listener.value = state.listener;
    part("form").elements.seed.value = state.seed;
  } else if (!part("trial").hidden) {
    part("item").textContent = `Item ${state.at + 1} of ${count}`;
    part("progress").max = count;
    part("progress").value = state.at;
    part("who").textContent = state.listener;
    part("seed").textContent = state.seed;
    part("back").hidden = state.at === 0;
    part("next").textContent = state.at === count - 1 ? "Finish and see what was what" : "Next item";
    for (const name of ["from", "to"]) Object.assign(part(name), { max: test.seconds, step: test.seconds / 50 });
    part("from").value = 0;
    part("to").value = test.seconds;
    ranged();
    showRatings();
    advise();
    part("item").focus();
  } else {
    reveal();
    part("thanks").focus();
  }
}

function go(at) {
  stop();
  state.at = at;
  keep();
  show();
  scrollTo(0, 0);
}

part("form").addEventListener("submit", (event) => {
  event.preventDefault();
  const { listener, seed } = part("form").elements;
  state = { ...fresh(), listener: listener.value.trim(), seed: Number(seed.value) };
  order = drawn(state.seed);
  go(0);
});
part("next").addEventListener("click", () => { if (advise(true)) go(state.at + 1); });
part("back").addEventListener("click", () => go(state.at - 1));
part("stop").addEventListener("click", stop);
for (const name of ["from", "to"]) part(name).addEventListener("change", ranged);
for (const button of all("button[data-open]")) {
  button.addEventListener("click", () => play(item(), openSounds[Number(button.dataset.open)][1], button));
}
for (const button of all(".rows button")) {
  button.addEventListener("click", () => play(item(), test.conditions[conditionOf(Number(button.dataset.slot))], button));
}
for (const input of all(".rows input")) {
  input.addEventListener("input", () => rate(input));
  input.addEventListener("pointerup", () => rate(input)); // a 0 is no change from where an unrated one lies
  input.addEventListener("keyup", (event) => { if (RATING_KEYS.includes(event.key)) rate(input); });
}
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  if (event.key === "Escape") return stop();
  if (part("trial").hidden) return;
  const opened = openSounds.findIndex(([, , key]) => key === event.key.toUpperCase());
  const slot = document.querySelector(`.rows button[data-slot="${CSS.escape(event.key)}"]`);
  if (opened >= 0) document.querySelector(`button[data-open="${opened}"]`).click();
  else if (slot) {
    if (active?.button !== slot) slot.click();
    document.querySelector(`.rows input[data-slot="${slot.dataset.slot}"]`).focus();
  } else return;
  event.preventDefault();
});
addEventListener("pagehide", count);

// ---- The end -----------------------------------------------------------------------------------------------------

function rows() { // in the order in which they were shown
  const found = [];
  order.items.forEach((index) => {
    order.conditions[index].forEach((condition) => {
      const { effect, pairing } = test.items[index], seconds = state.seconds[index][condition].toFixed(1);
      const own = [index + 1, effect, pairing, test.conditions[condition], state.ratings[index][condition], seconds];
      found.push([state.listener, state.seed, ...own, found.length + 1]);
    });
  });
  return found;
}

function csv() { // RFC 4180
  const cell = (value) => (/[",\r\n]/.test(value) ? `"${String(value).replaceAll('"', '""')}"` : String(value));
  return [test.columns, ...rows()].map((row) => `${row.map(cell).join(",")}\r\n`).join("");
}

part("save").addEventListener("click", () => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([csv()], { type: "text/csv" }));
  link.download = `listening_${state.listener.replace(/[^\p{L}\p{N}]+/gu, "_")}_${state.seed}.csv`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
});
part("anew").addEventListener("click", () => {
  if (!confirm("The ratings are forgotten here. Are they saved?")) return;
  state = fresh();
  go(-1);
});

function element(name, text = "", attributes = {}) {
  const made = document.createElement(name);
  made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function reveal() {
  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const means = test.conditions.map((name, index) => [mean(state.ratings.map((own) => own[index])), name]);
  part("means").replaceChildren(...means.sort((one, other) => other[0] - one[0]).map(([value, name]) => {
    const line = element("tr"), said = element("td", name), bar = element("td", "", { class: "bar", "aria-hidden": true });
    said.append(element("small", test.meanings[name]));
    bar.append(element("div", "", { style: `width: ${value}%` }));
    line.append(said, element("td", value.toFixed(1), { class: "number" }), bar);
    return line;
  }));
  const hidden = test.conditions.indexOf(test.hidden), low = state.ratings.filter((own) => own[hidden] < test.least).length;
  const percent = (share) => `${Math.round(100 * share)} %`, share = low / test.items.length;
  part("screening").textContent = `You rated the hidden reference below ${test.least} in ${low} of ${test.items.length} items (${percent(share)}). By the post-screening of ITU-R BS.1534-3, section 4.1.2, `
    + (share > test.share ? `your ratings are left out of the means over listeners, as are those of all with more than ${percent(test.share)}.` : `your ratings count: up to ${percent(test.share)} are let pass.`);
  part("matches").replaceChildren(...test.items.map(({ title, settings, closed, picture }, index) => {
    const made = element("article", "", { class: "match" }), table = element("table"), body = element("tbody");
    const heading = element("h3", title, { id: `match-${index + 1}` });
    made.setAttribute("aria-labelledby", heading.id);
    const line = (label, name, value, told) => {
      const row = element("tr"), first = element("td"), button = element("button", label, { type: "button", class: "sound", "aria-pressed": false, "aria-label": label });
      button.addEventListener("click", () => play(index, name, button));
      first.append(button);
      row.append(first, element("td", value, { class: "number" }), element("td", told));
      body.append(row);
    };
    test.conditions.forEach((name, condition) => line(name, name, state.ratings[index][condition], settings[name] ?? ""));
    line("style reference", "style reference", "", "what the methods heard");
    table.append(body);
    const figure = element("figure");
    figure.append(element("img", "", { src: picture, alt: `${title}. Closed of the distance: ${closed}.`, loading: "lazy" }));
    made.append(heading, table, figure);
    return made;
  }));
}

show();

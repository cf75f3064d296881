// The latent map: what is chosen on it is heard at once.

import { Cloud } from "./cloud.js";
import { colour, colourings } from "./colouring.js";
import { Knobs, physical, shown, title } from "./knobs.js";
import { Nearest } from "./nearest.js";
import { drawOverlay } from "./overlay.js";
import { kindColours, SCALE } from "./palette.js";
import { Player } from "./player.js";
import { column, json, Renders } from "./server.js";
import { View } from "./view.js";

const REACH = 10; // pixels from a point that still mean it
const TRAIL = 12;
const ASK_AGAIN_MS = 1500;

const $ = (id) => document.getElementById(id);
const [player, renders, view] = [new Player(), new Renders(), new View()];
const knobs = new Knobs($("knobs"), (effect, settings) => {
  hear({ effect: effect.name, settings, place: placeOf(state.choice) }, { scrub: true, origin: "knob" });
});
let cloud;

const state = {
  id: null, // of the map
  map: null, // its description
  source: null,
  columns: {}, // by name, of the points that are laid out
  nearest: null,
  choice: null, // {point, amount} or {x, y, amount} or {effect, settings, place}
  heard: null, // the sound of it
  dry: null, // the sound of the recording
  dryOn: false,
  past: [],
  trail: [],
  hovered: null,
  pins: new Map(),
  favourites: [],
  reference: null,
};

function say(text) {
  $("status").textContent = text;
}

function tell(error) {
  if (error.name !== "AbortError") say(error.message);
}

// ---- drawing

let [frame, lastMoved] = [0, 0];

function redraw() {
  frame ||= requestAnimationFrame(() => {
    frame = 0;
    const ratio = devicePixelRatio;
    if (cloud.draw(view, lastMoved, ratio)) setTimeout(redraw, 200);
    const { trail, pins, reference, hovered } = state;
    drawOverlay($("marks").getContext("2d"), view, ratio, {
      dry: state.map?.dry_place,
      trail,
      current: placeOf(state.choice),
      hovered: hovered === null ? null : placeOf({ point: hovered }),
      pins,
      reference,
    });
  });
}

function moved() {
  lastMoved = performance.now();
  redraw();
}

function fit() {
  const { clientWidth, clientHeight } = $("map");
  [view.width, view.height] = [Math.max(1, clientWidth), Math.max(1, clientHeight)];
  for (const canvas of [$("points"), $("marks")]) {
    canvas.width = view.width * devicePixelRatio;
    canvas.height = view.height * devicePixelRatio;
  }
  redraw();
}

function placeOf(choice) {
  if (!choice) return null;
  const places = state.columns.place?.values;
  if (choice.point !== undefined) return places ? [places[2 * choice.point], places[2 * choice.point + 1]] : null;
  return choice.x !== undefined ? [choice.x, choice.y] : (choice.place ?? null);
}

// ---- maps

async function openMap(id) {
  const sameMap = state.id === id;
  if (!sameMap) {
    Object.assign(state, { id, map: null, columns: {}, nearest: null, choice: null, heard: null, reference: null });
    Object.assign(state, { past: [], trail: [], hovered: null, pins: new Map() });
    view.reset();
    await json(`/api/maps/${id}/open`, { method: "POST" });
  }
  const map = await json(`/api/maps/${id}`);
  if (state.id !== id) return; // another one was opened meanwhile
  if (map.placed) {
    const names = ["place", "effect", "settings", "predicted"];
    const found = await Promise.all(names.map((name) => column(id, name, map.placed)));
    if (state.id !== id) return;
    state.columns = Object.fromEntries(names.map((name, index) => [name, found[index]]));
    state.nearest = new Nearest(state.columns.place.values);
    const before = $("colour").value;
    const choices = colourings(map.effects);
    $("colour").replaceChildren(...choices.map(({ id, name }) => new Option(name, id)));
    $("colour").value = choices.some((choice) => choice.id === before) ? before : choices[0].id;
    state.map = map;
    await paint();
    if (!sameMap) showChoice();
    showKept();
  } else {
    state.map = map;
    cloud.set(new Float32Array(), new Uint8Array());
    $("colour").replaceChildren();
    for (const end of ["low", "high"]) $(end).textContent = "";
    if (!sameMap) showChoice();
    showKept();
  }
}

async function paint() {
  const { map, id } = state;
  if (!map?.placed) return;
  const choice = colourings(map.effects).find((one) => one.id === $("colour").value);
  const values = (state.columns[choice.column] ??= await column(id, choice.column, map.placed));
  if (state.map !== map) return;
  const { colours, ends } = colour(choice, values, state.columns.effect.values);
  cloud.set(state.columns.place.values, colours);
  $("ramp").hidden = !ends;
  [$("low").textContent, $("high").textContent] = ends ?? ["", ""];
  if (!ends) {
    const palette = kindColours(map.effects.length);
    $("low").replaceChildren(...map.effects.map((effect, index) => swatch(effect.name, palette[index])));
  }
  redraw();
}

function swatch(name, rgb) {
  const mark = document.createElement("canvas");
  [mark.width, mark.height] = [1, 1];
  const context = mark.getContext("2d");
  context.fillStyle = `rgb(${rgb.join()})`;
  context.fillRect(0, 0, 1, 1);
  const row = document.createElement("span");
  row.className = "kind";
  row.append(mark, ` ${name} `);
  return row;
}

/** Tell how far the map is, and fetch it again when more of it is laid out. */
async function watch() {
  try {
    const { maps } = await json("/api/maps");
    const now = maps.find(({ id }) => id === state.id);
    if (now && state.map) {
      if (now.placed !== state.map.placed) await openMap(state.id);
      const [some, all] = [now.placed, now.count].map((count) => count.toLocaleString("en"));
      const progress = `${now.rendered.toLocaleString("en")} rendered`;
      if (now.error) say(now.error);
      else if (now.doing !== "nothing") say(`${some} of ${all} points; building, ${progress}`);
      else if (/points/.test($("status").textContent) || !$("status").textContent) say(`${all} points`);
    }
  } catch (error) {
    say(`The server does not answer (${error.message}).`);
  }
  setTimeout(watch, ASK_AGAIN_MS);
}

async function openSource(id) {
  state.source = id;
  const dry = await renders.dry(id);
  if (state.source !== id) return;
  state.dry = dry;
  if (state.choice && player.playing) await hear(state.choice, { again: true });
}

// ---- sound

function query(choice) {
  const ask = new URLSearchParams({ map: state.id, source: state.source });
  if (choice.settings) {
    ask.set("effect", choice.effect);
    ask.set("settings", JSON.stringify(choice.settings));
  } else if (choice.point !== undefined) ask.set("point", choice.point);
  else for (const name of ["x", "y"]) ask.set(name, choice[name]);
  if (choice.amount !== undefined) ask.set("amount", choice.amount);
  return ask;
}

let [turn, busy, waiting, lastOrigin] = [0, false, null, null];

/**
 * Play a choice. While a gesture goes on (`scrub`) a render is let finish, and then only the newest choice is asked
 * for, so that there is sound all the way; anything else gives up the render that is awaited. An undo goes back to
 * before a whole gesture, all choices of which have one `origin`. `silent` only shows the choice.
 */
async function hear(choice, options = {}) {
  const { scrub = false, since = performance.now(), again = false, silent = false, origin = null } = options;
  const audible = $("sound").checked && !silent;
  if (audible) player.resume(state.dry?.rate ?? 44_100); // in the gesture itself
  if (scrub && busy) {
    waiting = [choice, options];
    return;
  }
  waiting = null;
  const mine = ++turn;
  busy = true;
  try {
    const sound = await renders.get(query(choice));
    if (mine !== turn) return;
    if (state.choice && !again && !(scrub && origin === lastOrigin)) state.past.push(state.choice);
    lastOrigin = origin;
    Object.assign(state, { choice, heard: sound, dryOn: false });
    if (audible) {
      player.play(sound);
      const whole = performance.now() - since;
      const parts = { "click → sound": whole, server: sound.serverMs, network: sound.networkMs, output: player.outputMs };
      $("latency").textContent = Object.entries(parts).map(([name, ms]) => `${name} ${ms.toFixed(0)} ms`).join(" · ");
      $("latency").dataset.ms = whole;
    }
    const place = placeOf(choice);
    if (place && !choice.settings) state.trail = [...state.trail, place].slice(-TRAIL);
    showChoice(origin);
  } catch (error) {
    if (mine === turn) tell(error);
  } finally {
    if (mine === turn) busy = false;
  }
  if (mine === turn && waiting) hear(...waiting);
}

function compare(dryOn) {
  if (!state.heard || !state.dry) return;
  state.dryOn = dryOn;
  if ($("sound").checked) player.play(dryOn ? state.dry : state.heard);
  showChoice();
}

function undo() {
  const before = state.past.pop();
  if (before) hear(before, { again: true });
}

// ---- what is chosen

function showChoice(origin = null) {
  const { heard, choice, map } = state;
  for (const id of ["dry", "wet", "favourite"]) $(id).disabled = !heard;
  $("undo").disabled = !state.past.length;
  $("dry").setAttribute("aria-pressed", state.dryOn);
  $("wet").setAttribute("aria-pressed", !state.dryOn);
  $("exports").hidden = !heard;
  $("amount-row").hidden = !heard;
  $("knobs").hidden = !heard;
  redraw();
  if (!heard) {
    $("chosen").textContent = map?.placed ? "Click a point of the map to hear it." : "The map is being built.";
    $("matched").textContent = "";
    return;
  }
  const effect = map.effects.find(({ name }) => name === heard.effect);
  const what = choice.settings ? "own settings" : choice.amount !== undefined ? "predicted settings"
    : choice.point !== undefined ? `point ${choice.point}` : "between points";
  $("chosen").textContent = `${heard.effect}, ${what}`;
  let predicted = null;
  if (heard.point !== null) {
    const { values, width } = state.columns.predicted;
    predicted = values.subarray(heard.point * width, heard.point * width + effect.parameters.length);
  }
  if (origin !== "knob") knobs.show(effect, heard.settings, predicted); // a knob is where it was turned to
  $("amount").disabled = Boolean(choice.settings);
  $("amount").value = 100 * (choice.amount ?? 1);
  $("amount-value").textContent = `${Math.round(100 * (choice.amount ?? 1))} %`;
  // A point has settings of its own, which are not those predicted for it, until the amount is moved.
  if (choice.settings || (choice.point !== undefined && choice.amount === undefined)) {
    $("amount-value").textContent = "not used";
  }
  const decibels = (value) => `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(1)} dB`;
  const short = heard.shortDb > 0.05 ? `, ${heard.shortDb.toFixed(1)} dB short for its peaks` : "";
  $("matched").textContent = `matched ${decibels(heard.gainDb)}${short}`;
  for (const format of ["json", "python", "wav"]) {
    $(`export-${format}`).href = `/api/export?${query(choice)}&format=${format}`;
  }
  if (choice.point !== undefined) history.replaceState(null, "", `#map=${state.id}&point=${choice.point}`);
}

function describe(point) {
  const { map, columns } = state;
  const effect = map.effects[columns.effect.values[point]];
  const { values, width } = columns.settings;
  const rows = effect.parameters.map((parameter, index) => {
    return `${title(parameter.name)}: ${shown(physical(parameter, values[point * width + index]), parameter.unit)}`;
  });
  return [`${effect.name}, point ${point}`, ...rows].join("\n");
}

// ---- favourites and pins

function keep() {
  return { settings: state.heard.settings, effect: state.heard.effect, place: placeOf(state.choice) };
}

function addFavourite() {
  if (!state.heard) return;
  state.favourites.push({ map: state.id, ...keep() });
  localStorage.setItem("favourites", JSON.stringify(state.favourites));
  showKept();
  say("It is kept as a favourite.");
}

function pin(number, anew) {
  const known = state.pins.get(number);
  if (known && !anew) hear(known);
  else if (state.heard) {
    state.pins.set(number, keep());
    showKept();
    redraw();
    say(`It is pinned; ${number} plays it.`);
  }
}

function showKept() {
  const row = (name, choice, remove) => {
    const item = document.createElement("li");
    const [play, drop] = [document.createElement("button"), document.createElement("button")];
    play.type = drop.type = "button";
    play.textContent = name;
    play.addEventListener("click", (event) => hear(choice, { since: event.timeStamp }));
    drop.textContent = "×";
    drop.setAttribute("aria-label", `Remove ${name}`);
    drop.addEventListener("click", () => {
      remove();
      showKept();
      redraw();
    });
    item.append(play, drop);
    return item;
  };
  const brief = ({ effect, settings }) => `${effect} ${Object.values(settings).map((value) => shown(value)).join(", ")}`;
  const pins = [...state.pins].sort(([a], [b]) => a - b).map(([number, choice]) => {
    return row(`${number}: ${brief(choice)}`, choice, () => state.pins.delete(number));
  });
  const own = state.favourites.filter(({ map }) => map === state.id).map((choice) => {
    return row(`★ ${brief(choice)}`, choice, () => {
      state.favourites = state.favourites.filter((other) => other !== choice);
      localStorage.setItem("favourites", JSON.stringify(state.favourites));
    });
  });
  $("kept").replaceChildren(...pins, ...own);
}

// ---- pointer

let [gesture, spaceHeld, spacePanned] = [null, false, false];

function pixel(event) {
  const box = $("map").getBoundingClientRect();
  return [event.clientX - box.left, event.clientY - box.top];
}

/** The point that a pixel means, else the place. */
function choiceAt([column, row]) {
  const [x, y] = view.toPlace(column, row);
  const point = state.nearest.at(x, y, REACH / view.scale);
  return point === null ? { x, y } : { point };
}

function same(one, other) {
  return one && other && one.point === other.point && one.x === other.x && one.y === other.y && !one.settings;
}

function listenToPointer(map) {
  let asked = null;
  const sound = (event, scrub) => {
    if (!state.nearest) return;
    const choice = choiceAt(pixel(event));
    if (scrub && same(asked, choice)) return;
    asked = choice;
    hear(choice, { scrub, since: event.timeStamp, origin: "map" });
  };
  map.addEventListener("pointerdown", (event) => {
    map.setPointerCapture(event.pointerId);
    const pan = event.button === 2 || spaceHeld;
    gesture = { pan, at: pixel(event) };
    spacePanned ||= spaceHeld;
    state.hovered = null;
    $("hover").hidden = true;
    if (!pan && event.button === 0) sound(event, false);
  });
  map.addEventListener("pointermove", (event) => {
    const at = pixel(event);
    if (gesture?.pan) {
      view.pan(at[0] - gesture.at[0], at[1] - gesture.at[1]);
      gesture.at = at;
      moved();
    } else if (gesture) sound(event, true);
    else if (state.nearest) {
      state.hovered = choiceAt(at).point ?? null;
      $("hover").hidden = state.hovered === null;
      if (state.hovered !== null) {
        $("hover").textContent = describe(state.hovered);
        const left = Math.min(at[0] + 16, view.width - $("hover").offsetWidth - 4);
        const below = at[1] + 16 + $("hover").offsetHeight < view.height;
        $("hover").style.left = `${Math.max(4, left)}px`;
        $("hover").style.top = `${below ? at[1] + 16 : Math.max(4, at[1] - 16 - $("hover").offsetHeight)}px`;
      }
      redraw();
    }
  });
  for (const name of ["pointerup", "pointercancel"]) map.addEventListener(name, () => (gesture = null));
  map.addEventListener("pointerleave", () => {
    state.hovered = null;
    $("hover").hidden = true;
    redraw();
  });
  map.addEventListener("contextmenu", (event) => event.preventDefault());
  map.addEventListener("wheel", (event) => {
    event.preventDefault();
    view.zoomAt(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0015)), ...pixel(event));
    moved();
  }, { passive: false });
}

// ---- keys

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };

function onMapKey(event) {
  if (ARROWS[event.key] && state.nearest) {
    const [x, y] = placeOf(state.choice) ?? state.map.dry_place ?? [0, 0];
    const point = state.nearest.towards(x, y, ...ARROWS[event.key]);
    if (point !== null) hear({ point }, { since: event.timeStamp });
  } else if (event.key === "Enter") {
    const [x, y] = state.map?.dry_place ?? [0, 0];
    const choice = state.choice ?? (state.nearest && { point: state.nearest.at(x, y) });
    if (choice) hear(choice, { since: event.timeStamp, again: true });
  } else if (event.key === " ") {
    if (!spaceHeld) [spaceHeld, spacePanned] = [true, false];
  } else if ("+=-0".includes(event.key)) {
    if (event.key === "0") view.reset();
    else view.zoomAt(event.key === "-" ? 1 / 1.3 : 1.3, view.width / 2, view.height / 2);
    moved();
    if (event.key === "0") event.stopPropagation();
  } else return;
  event.preventDefault();
}

function onKey(event) {
  if (event.key === " " && event.target === document.body) onMapKey(event);
  if (event.target.matches("select") || $("help").open || event.altKey) return;
  const key = event.key.toLowerCase();
  const digit = /^Digit([1-9])$/.exec(event.code);
  if (event.ctrlKey || event.metaKey) {
    if (key !== "z") return;
    undo();
  } else if (key === "b") compare(!state.dryOn);
  else if (key === "u") undo();
  else if (key === "f") addFavourite();
  else if (key === "?") $("help").showModal();
  else if (digit) pin(Number(digit[1]), event.shiftKey);
  else return;
  event.preventDefault();
}

// ---- files

function listenToFiles(name, take) {
  const [label, input] = [$(`${name}-drop`), $(`${name}-file`)];
  const given = async (file) => {
    if (!file) return;
    try {
      say(`${file.name} is being read.`);
      await take(file);
    } catch (error) {
      tell(error);
    }
  };
  input.addEventListener("change", () => {
    given(input.files[0]);
    input.value = "";
  });
  label.addEventListener("dragover", (event) => {
    event.preventDefault();
    label.classList.add("over");
  });
  label.addEventListener("dragleave", () => label.classList.remove("over"));
  label.addEventListener("drop", (event) => {
    event.preventDefault();
    label.classList.remove("over");
    given(event.dataTransfer.files[0]);
  });
}

async function showSources(chosen) {
  const sources = await json("/api/sources");
  $("sources").replaceChildren(...sources.map(({ id, name }) => new Option(name, id)));
  $("sources").value = chosen;
}

async function takeSource(file) {
  const name = encodeURIComponent(file.name);
  const added = await json(`/api/sources?name=${name}`, { method: "POST", body: file });
  await showSources(added.id);
  await openSource(added.id);
  say(`${added.name} is heard from ${added.window_start_s.toFixed(1)} s on, ${added.window_s.toFixed(1)} s of it.`);
}

async function takeReference(file) {
  const ask = new URLSearchParams({ map: state.id, name: file.name });
  const found = await json(`/api/reference?${ask}`, { method: "POST", body: file });
  state.reference = found;
  await hear({ effect: found.effect, settings: found.settings, place: [found.x, found.y] });
  say(`${file.name} lies at R: ${found.effect}, as the run reads it.`);
}

// ---- start

async function start() {
  cloud = new Cloud($("points"));
  new ResizeObserver(fit).observe($("map"));
  fit();
  const ramp = $("ramp").getContext("2d");
  SCALE.forEach((rgb, index) => {
    ramp.fillStyle = `rgb(${rgb.join()})`;
    ramp.fillRect(index, 0, 1, 1);
  });
  listenToPointer($("map"));
  $("map").addEventListener("keydown", onMapKey);
  document.addEventListener("keyup", (event) => {
    if (event.key !== " " || !spaceHeld) return;
    if (!spacePanned) player.stop();
    [spaceHeld, spacePanned] = [false, false];
  });
  document.addEventListener("keydown", onKey);
  $("reset").addEventListener("click", () => {
    view.reset();
    redraw();
  });
  $("maps").addEventListener("change", () => {
    player.stop();
    say("");
    openMap($("maps").value).catch(tell);
  });
  $("sources").addEventListener("change", () => openSource($("sources").value).catch(tell));
  $("colour").addEventListener("change", () => paint().catch(tell));
  $("sound").addEventListener("change", () => {
    if (!$("sound").checked) player.stop();
    else if (state.heard) compare(state.dryOn);
  });
  // Loudness goes with the logarithm of the level.
  const level = () => (player.volume = ($("volume").value / 100) ** 2);
  $("volume").addEventListener("input", level);
  level();
  $("dry").addEventListener("click", () => compare(true));
  $("wet").addEventListener("click", () => compare(false));
  $("undo").addEventListener("click", undo);
  $("favourite").addEventListener("click", addFavourite);
  $("amount").addEventListener("input", () => {
    const { settings, ...choice } = state.choice;
    hear({ ...choice, amount: $("amount").value / 100 }, { scrub: true, origin: "amount" });
  });
  listenToFiles("source", takeSource);
  listenToFiles("reference", takeReference);
  for (const name of ["dragover", "drop"]) document.addEventListener(name, (event) => event.preventDefault());
  state.favourites = JSON.parse(localStorage.getItem("favourites") ?? "[]");

  const { maps, source } = await json("/api/maps");
  const link = new URLSearchParams(location.hash.slice(1));
  $("maps").replaceChildren(...maps.map(({ id, name }) => new Option(name, id)));
  const wanted = maps.find(({ id }) => id === link.get("map")) ?? maps[0];
  $("maps").value = wanted.id;
  await Promise.all([showSources(source), openSource(source)]);
  await openMap(wanted.id);
  const point = Number(link.get("point") ?? NaN);
  if (point < state.map.placed) {
    await hear({ point }, { silent: true });
    say(`Point ${point} is chosen; Enter on the map plays it.`);
  }
  watch();
}

start().catch((error) => say(error.message));

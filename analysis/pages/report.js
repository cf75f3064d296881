// The report's own script: links unfold what they lead to, one sound plays at a time, and the map can be heard.
"use strict";

const all = (selector, inside = document) => [...inside.querySelectorAll(selector)];

function unfold(hash) {
  const target = document.getElementById(hash.slice(1));
  for (let fold = target?.closest("details"); fold; fold = fold.parentElement.closest("details")) fold.open = true;
  return target;
}

document.addEventListener("click", (event) => {
  const link = event.target.closest('a[href^="#"]');
  if (link) unfold(link.hash);
});
addEventListener("hashchange", () => unfold(location.hash)?.scrollIntoView());
unfold(location.hash)?.scrollIntoView();

let folded = [];
addEventListener("beforeprint", () => {
  folded = all("details:not([open])");
  for (const fold of folded) fold.open = true;
});
addEventListener("afterprint", () => {
  for (const fold of folded) fold.open = false;
});

document.addEventListener("play", (event) => {
  for (const audio of all("audio")) if (audio !== event.target) audio.pause();
}, true); // media events do not bubble
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") for (const audio of all("audio")) audio.pause();
});

const REACH = 24; // pixels of the screen: a fingertip need not meet a point
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

function listen(root) {
  const { effects, points, dry } = JSON.parse(root.querySelector("script").textContent);
  const svg = root.querySelector("svg.map"), halo = svg.querySelector(".halo"), player = root.querySelector("audio");
  const part = (name) => root.querySelector(`[data-part="${name}"]`);
  const chosen = (name) => root.querySelector(`input[name="${name}"]:checked`).value;
  const place = (index) => points[index].places[chosen("map")];
  const shown = () => points.map((_, index) => index).filter((index) => !marks[index].classList.contains("off"));
  let selected = null;

  const marks = points.map((point, index) => {
    const mark = document.createElementNS(svg.namespaceURI, "path"), effect = effects[point.effect];
    const settings = Object.entries(point.settings).map((setting) => setting.join(" ")).join(", ");
    mark.setAttribute("d", effect.mark);
    mark.setAttribute("fill", effect.colour);
    mark.setAttribute("role", "button");
    mark.setAttribute("aria-label", `${effect.name}: ${settings}; ${point.recording}`);
    mark.setAttribute("tabindex", index ? -1 : 0); // one stop of the tabulator; arrows lead on
    mark.addEventListener("focus", () => select(index));
    svg.append(mark);
    return mark;
  });

  function lay() {
    marks.forEach((mark, index) => { mark.style.transform = `translate(${place(index)[0]}px, ${place(index)[1]}px)`; });
    if (selected !== null) halo.style.transform = marks[selected].style.transform;
  }

  function select(index) {
    if (index !== selected) player.pause();
    for (const mark of marks) mark.setAttribute("tabindex", -1);
    const point = points[index], effect = effects[point.effect];
    selected = index;
    marks[index].setAttribute("tabindex", 0);
    halo.style.transform = marks[index].style.transform;
    halo.classList.add("on");
    part("effect").textContent = effect.name;
    part("swatch").setAttribute("d", effect.mark);
    part("swatch").setAttribute("fill", effect.colour);
    part("recording").textContent = point.recording;
    part("settings").replaceChildren(...Object.entries(point.settings).flatMap(([name, value]) => {
      const term = document.createElement("dt"), said = document.createElement("dd");
      term.textContent = name;
      said.textContent = value;
      return [term, said];
    }));
    part("nothing").hidden = true;
    part("clip").hidden = false;
  }

  function play() {
    player.src = chosen("sound") === "wet" ? points[selected].wet : dry[points[selected].dry];
    player.play().catch((error) => {
      if (error.name !== "AbortError") part("state").textContent = error.message; // it aborts where it is stopped early
    });
  }

  function toggle(index) {
    if (index === selected && !player.paused) return player.pause();
    if (index !== selected) marks[index].focus();
    play();
  }

  function tell() {
    const playing = !player.paused && !player.ended;
    halo.classList.toggle("playing", playing);
    part("state").textContent = playing ? `Playing ${chosen("sound")}` : "";
    part("play").textContent = playing ? "Stop" : "Play";
  }

  function nearest(indices, distance) {
    const [best] = indices.map((index) => [distance(place(index)), index]).sort((one, other) => one[0] - other[0]);
    return best && best[0] < Infinity ? best : [Infinity, null];
  }

  svg.addEventListener("click", (event) => {
    const screen = svg.getScreenCTM(), x = (event.clientX - screen.e) / screen.a, y = (event.clientY - screen.f) / screen.d;
    const [far, index] = nearest(shown(), (at) => Math.hypot(at[0] - x, at[1] - y));
    if (far * screen.a <= REACH) toggle(index);
  });
  svg.addEventListener("keydown", (event) => {
    const index = marks.indexOf(event.target);
    if (index < 0) return;
    if (event.key === "Enter" || event.key === " ") toggle(index);
    else if (event.key in ARROWS) {
      const [right, down] = ARROWS[event.key], from = place(index);
      const [, next] = nearest(shown().filter((other) => other !== index), (at) => {
        const x = at[0] - from[0], y = at[1] - from[1], along = x * right + y * down;
        return along > 0 ? along + 2 * Math.abs(x * down + y * right) : Infinity;
      });
      if (next !== null) marks[next].focus();
    } else return;
    event.preventDefault();
  });
  part("play").addEventListener("click", () => toggle(selected));
  for (const input of all('input[name="map"]', root)) input.addEventListener("change", lay);
  for (const input of all('input[name="sound"]', root)) {
    input.addEventListener("change", () => { if (!player.paused) play(); });
  }
  for (const event of ["play", "pause", "ended"]) player.addEventListener(event, tell);

  function filter() {
    const on = new Set(all('input[name="effect"]:checked', root).map((input) => Number(input.value)));
    marks.forEach((mark, index) => mark.classList.toggle("off", !on.has(points[index].effect)));
    if (selected !== null && !on.has(points[selected].effect)) {
      player.pause();
      halo.classList.remove("on");
    }
    const stop = marks.find((mark) => mark.getAttribute("tabindex") === "0");
    if (stop.classList.contains("off") && shown().length) {
      stop.setAttribute("tabindex", -1);
      marks[shown()[0]].setAttribute("tabindex", 0);
    }
  }
  for (const input of all('input[name="effect"]', root)) input.addEventListener("change", filter);
  for (const button of all("button[data-all]", root)) {
    button.addEventListener("click", () => {
      for (const input of all('input[name="effect"]', root)) input.checked = button.dataset.all === "on";
      filter();
    });
  }
  // A browser may keep what was chosen before the page was loaded again.
  lay();
  filter();
  root.classList.add("ready");
}

const map = document.getElementById("listening");
if (map) listen(map);

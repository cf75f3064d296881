// Lists the maps of the server and their state.
"use strict";

async function show() {
  const status = document.getElementById("status");
  try {
    const answer = await fetch("/api/maps");
    const { maps } = await answer.json();
    const rows = maps.map((map) => {
      const row = document.createElement("li");
      const state = map.error ?? `${map.placed} of ${map.count} points are laid out, ${map.rendered} rendered`;
      row.textContent = `${map.name}: ${state}`;
      return row;
    });
    document.getElementById("maps").replaceChildren(...rows);
    status.textContent = "";
  } catch (error) {
    status.textContent = `The server does not answer (${error.message}).`;
  }
}

show();
setInterval(show, 2000);

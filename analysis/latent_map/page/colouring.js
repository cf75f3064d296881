// What points can be coloured by: a column, the range that is shown of it, and its legend.

import { physical, shown, title } from "./knobs.js";
import { kindColours, NONE, SCALE } from "./palette.js";

/** Choices {id, name} for the effects of a map. */
export function colourings(effects) {
  const measured = [["strength", "Strength (1 = usual)"], ["brightness", "Brightness"], ["loudness", "Loudness"]];
  const choices = measured.map(([column, name]) => ({ id: column, name, column }));
  if (effects.length > 1) choices.unshift({ id: "effect", name: "Effect", column: "effect" });
  effects.forEach((effect, kind) => {
    const prefix = effects.length > 1 ? `${effect.name}: ` : "";
    effect.parameters.forEach((parameter, index) => {
      for (const [column, suffix] of [["settings", ""], ["predicted", " (predicted)"]]) {
        const name = prefix + title(parameter.name) + suffix;
        choices.push({ id: `${column}/${kind}/${index}`, name, column, kind, index, parameter });
      }
    });
  });
  return choices;
}

const UNITS = { strength: "", brightness: "Hz", loudness: "LU" };

/** RGBA bytes of all points, and the ends of the scale in words (null for effects). */
export function colour(choice, { values, width }, kinds) {
  const colours = new Uint8Array(kinds.length * 4).fill(255);
  const paint = (point, [red, green, blue]) => colours.set([red, green, blue], 4 * point);
  if (choice.column === "effect") {
    const palette = kindColours(Math.max(...kinds) + 1);
    kinds.forEach((kind, point) => paint(point, palette[kind]));
    return { colours, ends: null };
  }
  let [low, high, read] = [0, 1, (point) => values[point]];
  let ends;
  if (choice.parameter) {
    const { parameter, kind, index } = choice;
    read = (point) => (kinds[point] === kind ? values[point * width + index] : NaN);
    ends = [0, 1].map((t) => shown(physical(parameter, t), parameter.unit));
  } else {
    const log = choice.column === "brightness";
    const scaled = log ? Math.log : (value) => value;
    // Between the 2nd and the 98th percentile of a sample, so that a few extreme points leave colours to the others.
    const sample = values.slice(0, 20_000).sort();
    [low, high] = [0.02, 0.98].map((part) => scaled(sample[Math.floor(part * (sample.length - 1))]));
    read = (point) => scaled(values[point]);
    ends = [low, high].map((value) => shown(log ? Math.exp(value) : value, UNITS[choice.column]));
  }
  for (let point = 0; point < kinds.length; point++) {
    const t = (read(point) - low) / (high - low || 1);
    paint(point, Number.isNaN(t) ? NONE : SCALE[Math.max(0, Math.min(255, Math.round(255 * t)))]);
  }
  return { colours, ends };
}

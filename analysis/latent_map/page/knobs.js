// Settings of an effect as native range inputs.

const STEPS = 1000;

/** A physical value of a normalized one. */
export function physical(parameter, t) {
  const { minimum, maximum, scale } = parameter;
  if (scale === "log") return Math.min(maximum, Math.max(minimum, minimum * (maximum / minimum) ** t));
  return minimum + t * (maximum - minimum);
}

export function normalized({ minimum, maximum, scale }, value) {
  if (scale === "log") return Math.log(value / minimum) / Math.log(maximum / minimum);
  return (value - minimum) / (maximum - minimum);
}

export function shown(value, unit = "") {
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return `${value.toLocaleString("en", { maximumFractionDigits: digits })} ${unit}`.trim();
}

export function title(name) {
  const words = name.replaceAll("_", " ");
  return words[0].toUpperCase() + words.slice(1);
}

export class Knobs {
  #place;
  #turned;
  #effect = null;
  #settings = null;
  #rows = [];

  /** Rows go into `place`; `turned(effect, settings)` is told physical settings. */
  constructor(place, turned) {
    this.#place = place;
    this.#turned = turned;
  }

  /** Show settings of an effect {name, parameters}; `predicted` are normalized ones, or null. */
  show(effect, settings, predicted) {
    if (this.#effect !== effect) this.#build(effect);
    this.#settings = { ...settings };
    this.#rows.forEach(({ input, output, ghost }, index) => {
      const parameter = effect.parameters[index];
      const value = settings[parameter.name];
      input.value = Math.round(STEPS * normalized(parameter, value));
      this.#tell(input, output, parameter, value);
      ghost.hidden = predicted === null;
      if (predicted) {
        ghost.style.setProperty("--at", predicted[index]);
        ghost.title = `predicted: ${shown(physical(parameter, predicted[index]), parameter.unit)}`;
      }
    });
  }

  #tell(input, output, parameter, value) {
    output.textContent = shown(value, parameter.unit);
    input.setAttribute("aria-valuetext", output.textContent);
  }

  #build(effect) {
    this.#effect = effect;
    this.#rows = effect.parameters.map((parameter, index) => {
      const row = document.createElement("div");
      row.className = "knob";
      const label = document.createElement("label");
      label.htmlFor = `knob-${index}`;
      label.textContent = title(parameter.name);
      const output = document.createElement("output");
      output.htmlFor = label.htmlFor;
      const track = document.createElement("div");
      track.className = "track";
      const input = document.createElement("input");
      Object.assign(input, { type: "range", min: 0, max: STEPS, id: label.htmlFor });
      const ghost = document.createElement("span");
      ghost.className = "ghost";
      track.append(input, ghost);
      row.append(label, output, track);
      input.addEventListener("input", () => {
        const value = physical(parameter, input.value / STEPS);
        this.#settings = { ...this.#settings, [parameter.name]: value };
        this.#tell(input, output, parameter, value);
        this.#turned(this.#effect, this.#settings);
      });
      return { row, input, output, ghost };
    });
    this.#place.replaceChildren(...this.#rows.map(({ row }) => row));
  }
}

// Colours of numbers and of kinds on a dark ground, of even steps in OKLCH (Ottosson 2020), none darker than L = 0.5.

function srgb(lightness, chroma, degrees) {
  const hue = (degrees * Math.PI) / 180;
  const [a, b] = [chroma * Math.cos(hue), chroma * Math.sin(hue)];
  const l = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const m = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const s = (lightness - 0.0894841775 * a - 1.291485548 * b) ** 3;
  const linear = [
    4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s,
    -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s,
    -0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s,
  ];
  return linear.map((value) => {
    const kept = Math.max(0, Math.min(1, value));
    return Math.round(255 * (kept <= 0.0031308 ? 12.92 * kept : 1.055 * kept ** (1 / 2.4) - 0.055));
  });
}

/** 256 colours from violet by blue and green to yellow, lighter all the way. */
export const SCALE = Array.from({ length: 256 }, (_, index) => {
  const t = index / 255;
  return srgb(0.5 + 0.42 * t, 0.14, 305 - 200 * t);
});

/** Of points that have no such number. */
export const NONE = [92, 96, 104];

export function kindColours(count) {
  return Array.from({ length: count }, (_, index) => srgb(0.76, 0.14, 30 + (360 * index) / count));
}

// What is drawn over the points: the dry marker, the trail, the ring of what is heard, pins, and the reference.

const WHITE = "#ffffff";

export function drawOverlay(context, view, ratio, { dry, trail, current, hovered, pins, reference }) {
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, view.width, view.height);
  context.lineJoin = "round";
  context.font = "600 13px system-ui, sans-serif";
  context.textBaseline = "middle";

  const label = (text, x, y) => {
    context.lineWidth = 4;
    context.strokeStyle = "#101216";
    context.strokeText(text, x, y);
    context.fillStyle = WHITE;
    context.fillText(text, x, y);
  };
  const ring = (x, y, radius, colour, width) => {
    context.beginPath();
    context.arc(x, y, radius, 0, 2 * Math.PI);
    context.lineWidth = width;
    context.strokeStyle = colour;
    context.stroke();
  };

  trail.forEach((place, index) => {
    if (!index) return;
    context.beginPath();
    context.moveTo(...view.toPixels(...trail[index - 1]));
    context.lineTo(...view.toPixels(...place));
    context.lineWidth = 2;
    context.strokeStyle = `rgb(255 255 255 / ${(0.6 * index) / trail.length})`;
    context.stroke();
  });
  if (dry) {
    const [x, y] = view.toPixels(...dry);
    context.beginPath();
    for (const [dx, dy] of [[0, -8], [8, 0], [0, 8], [-8, 0]]) context.lineTo(x + dx, y + dy);
    context.closePath();
    context.lineWidth = 3;
    context.strokeStyle = "#101216";
    context.stroke();
    context.fillStyle = WHITE;
    context.fill();
    label("dry", x + 12, y);
  }
  if (reference) {
    const [x, y] = view.toPixels(reference.x, reference.y);
    context.setLineDash([5, 4]);
    ring(x, y, Math.max(10, reference.radius * view.scale), WHITE, 1.5);
    context.setLineDash([]);
    label("R", x - 4, y);
  }
  pins.forEach((pin, number) => {
    const [x, y] = view.toPixels(...pin.place);
    ring(x, y, 5, WHITE, 2);
    label(String(number), x + 9, y - 9);
  });
  if (hovered) ring(...view.toPixels(...hovered), 7, "rgb(255 255 255 / 0.7)", 1.5);
  if (current) {
    ring(...view.toPixels(...current), 10, "#101216", 5);
    ring(...view.toPixels(...current), 10, WHITE, 2.5);
  }
}

// Outlines and texts of words, as SVG in pixels of the photo.

const SVG = "http://www.w3.org/2000/svg";

function make(name, attributes, parent) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  parent.append(node);
  return node;
}

/** [left, top, right, bottom] of a polygon. */
export function bounds(polygon) {
  const xs = polygon.map(([x]) => x);
  const ys = polygon.map(([, y]) => y);
  return [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)];
}

/**
 * Draw readings over a photo.
 * @param svg the element to fill.
 * @param readings [{kind, record}]; the kind is a class of page.css.
 */
export function drawOutlines(svg, readings) {
  svg.replaceChildren();
  if (!readings.length) return;
  const { width, height } = readings[0].record;
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const unit = Math.max(width, height);
  for (const { kind, record } of readings) {
    record.words.forEach((word, index) => {
      const [left, top, right, bottom] = bounds(word.polygon);
      const size = Math.min(Math.max((bottom - top) * 0.5, unit / 60), unit / 28);
      const group = make("g", { class: kind, "data-word": index }, svg);
      make("polygon", { points: word.polygon.map((point) => point.join(",")).join(" ") }, group);
      // Chosen texts stand above the word and forced ones below, so that both can be read.
      const above = top - size * 0.25;
      const y = kind === "chosen" ? (above > size ? above : top + size) : Math.min(bottom + size, height - 2);
      const x = Math.max(0, Math.min(left, width - size * 0.6 * word.text.length));
      const label = make("text", { x, y, "font-size": size, "stroke-width": size / 5 }, group);
      label.textContent = word.text;
      make("title", {}, group).textContent = `${word.text} (${word.score.toFixed(2)})`;
    });
  }
}

// Two readings of one photo side by side, costs, and the table as text.

import { bounds } from "./outlines.js";

const LEAST_OVERLAP = 0.3; // of the union of two boxes, from which they are one word

function overlap(a, b) {
  const width = Math.min(a[2], b[2]) - Math.max(a[0], b[0]);
  const height = Math.min(a[3], b[3]) - Math.max(a[1], b[1]);
  if (width <= 0 || height <= 0) return 0;
  const area = (box) => (box[2] - box[0]) * (box[3] - box[1]);
  return (width * height) / (area(a) + area(b) - width * height);
}

/**
 * Rows {chosen, forced} of indices of words; null where one reading lacks the word.
 * @param forced null where there is no second reading.
 */
export function pairWords(chosen, forced) {
  if (!forced) return chosen.words.map((_, index) => ({ chosen: index, forced: null }));
  const boxes = forced.words.map((word) => bounds(word.polygon));
  const free = new Set(boxes.keys());
  const rows = chosen.words.map((word, index) => {
    const box = bounds(word.polygon);
    let best = null;
    let most = LEAST_OVERLAP;
    for (const other of free) {
      const share = overlap(box, boxes[other]);
      if (share > most) [best, most] = [other, share];
    }
    free.delete(best);
    return { chosen: index, forced: best };
  });
  return [...rows, ...[...free].map((index) => ({ chosen: null, forced: index }))];
}

/** Heads and rows of strings of the table. */
export function tableCells(chosen, forced) {
  const cells = (record, index) => {
    if (index === null) return ["", ""];
    const word = record.words[index];
    return [word.text, word.score.toFixed(2)];
  };
  const rows = pairWords(chosen, forced).map((pair) => ({
    ...pair,
    cells: [...cells(chosen, pair.chosen), ...(forced ? cells(forced, pair.forced) : [])],
  }));
  const heads = forced
    ? [`at ${chosen.scale} (chosen)`, "score", `at ${forced.scale}`, "score"]
    : ["word", "score"];
  return { heads, rows };
}

/** The table as lines of cells with tabs between them, as spreadsheets take it. */
export function tableText({ heads, rows }) {
  return [heads, ...rows.map((row) => row.cells)].map((cells) => cells.join("\t")).join("\n") + "\n";
}

/** The share of the full cost at a scale: linear between the model's scales, as the service computes it. */
export function shareOfCost(model, scale) {
  const known = [...model.scales.map((value, index) => [value, model.costs[index]]), [1, 1]].sort((a, b) => a[0] - b[0]);
  if (scale <= known[0][0]) return known[0][1];
  for (let index = 1; index < known.length; index += 1) {
    const [[low, from], [high, to]] = [known[index - 1], known[index]];
    if (scale <= high) return high === low ? to : from + ((to - from) * (scale - low)) / (high - low);
  }
  return 1;
}

export const percent = (share) => `${Math.round(share * 100)} %`;

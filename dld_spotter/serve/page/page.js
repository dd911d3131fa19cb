// The page: photos are posted one after the other, and their words are shown.

import { percent, shareOfCost, tableCells, tableText } from "./compare.js";
import { drawOutlines } from "./outlines.js";

const ATTEMPTS = 5; // while the service is busy
const at = (id) => document.getElementById(id);
const photos = [];
let model = null;
let current = null;
let turn = Promise.resolve(); // ends when every photo so far was read

async function post(photo, scale) {
  const query = new URLSearchParams({ name: photo.name });
  if (scale !== null) query.set("scale", scale);
  for (let attempt = 1; ; attempt += 1) {
    const answer = await fetch(`v1/read?${query}`, { method: "POST", body: photo.file });
    if (answer.status === 503 && attempt < ATTEMPTS) {
      await new Promise((resolve) => setTimeout(resolve, 1000 * attempt));
      continue;
    }
    const content = await answer.json();
    if (!answer.ok) throw new Error(content.error);
    return content;
  }
}

function readInTurn(photo, scale = null) {
  photo.error = null;
  turn = turn.then(async () => {
    photo.state = scale === null ? "being read" : `being read at ${scale}`;
    show(photo);
    try {
      if (model && photo.file.size > model.max_bytes) {
        throw new Error(`the photo has more than the ${model.max_bytes.toLocaleString("en")} bytes allowed.`);
      }
      const record = await post(photo, scale);
      if (scale === null) photo.chosen = record;
      else photo.forced = record;
      photo.state = `${photo.chosen ? photo.chosen.words.length : 0} words`;
    } catch (error) {
      photo.error = error instanceof TypeError ? "the service does not answer." : error.message;
      photo.state = "failed";
    }
    show(photo);
  });
}

function add(files) {
  for (const file of files) {
    const photo = { file, name: file.name || "pasted", url: URL.createObjectURL(file), state: "waits" };
    photo.button = makeButton(photo);
    photos.push(photo);
    if (!current) select(photo);
    readInTurn(photo);
  }
}

function makeButton(photo) {
  const button = document.createElement("button");
  const image = document.createElement("img");
  const name = document.createElement("span");
  const state = document.createElement("span");
  button.type = "button";
  image.src = photo.url;
  image.alt = "";
  name.textContent = photo.name;
  state.className = "state";
  button.append(image, name, state);
  button.addEventListener("click", () => select(photo));
  at("photos").append(button);
  return button;
}

function select(photo) {
  current = photo;
  at("photo").src = photo.url;
  at("frame").hidden = false;
  at("hint").hidden = true;
  document.querySelector("input[name=shown][value=chosen]").checked = true;
  photos.forEach(show);
}

function show(photo) {
  photo.button.querySelector(".state").textContent = photo.state;
  photo.button.classList.toggle("failed", Boolean(photo.error));
  photo.button.setAttribute("aria-current", String(photo === current));
  if (photo !== current) return;
  const status = at("status");
  const done = photo.chosen && !photo.state.startsWith("being");
  const seen = photo.unseen ? "The browser cannot show this kind of file." : "";
  status.textContent = photo.error ?? (done ? seen : photo.state);
  status.classList.toggle("failed", Boolean(photo.error));
  at("panel").hidden = !photo.chosen && !photo.error;
  at("again").hidden = !photo.error;
  for (const id of ["choice", "force", "words", "copy", "download"]) at(id).hidden = !photo.chosen;
  if (photo.chosen) showReadings(photo);
  else at("outlines").replaceChildren();
}

function showReadings(photo) {
  const { chosen, forced } = photo;
  const chooses = Boolean(model && model.scales.length);
  at("chosen-scale").textContent = `Scale ${chosen.scale}`;
  at("chosen-note").textContent = chooses ? " chosen by the model" : " this model chooses none";
  at("chosen-bar").style.width = `${100 * chosen.cost}%`;
  at("chosen-cost").textContent =
    `${percent(chosen.cost)} of the full cost, ${chosen.words.length} words in ${chosen.seconds.toFixed(2)} s`;
  at("force").hidden = !chooses;
  at("slider").value = forced ? forced.scale : chosen.scale;
  at("forced-cost").textContent = forced
    ? `${percent(forced.cost)} of the full cost, ${forced.words.length} words in ${forced.seconds.toFixed(2)} s`
    : "Move the slider to read once more and compare.";
  showSlider();
  at("shown").hidden = !forced;
  at("forced-key").textContent = forced ? `scale ${forced.scale}` : "";
  fillTable(tableCells(chosen, forced));
  showOutlines();
  if (photo.download) URL.revokeObjectURL(photo.download);
  const records = forced ? [chosen, forced] : chosen;
  photo.download = URL.createObjectURL(new Blob([JSON.stringify(records, null, 1)], { type: "application/json" }));
  at("download").href = photo.download;
  at("download").download = `${photo.name.replace(/\.[^.]*$/, "")}.json`;
}

function showOutlines() {
  if (!current?.chosen) return;
  const wanted = document.querySelector("input[name=shown]:checked").value;
  const readings = [];
  if (wanted !== "forced" || !current.forced) readings.push({ kind: "chosen", record: current.chosen });
  if (wanted !== "chosen" && current.forced) readings.push({ kind: "forced", record: current.forced });
  drawOutlines(at("outlines"), readings);
}

function showSlider() {
  const scale = Number(at("slider").value);
  at("slider-scale").textContent = `${scale} (${percent(model ? shareOfCost(model, scale) : 1)} of the full cost)`;
}

function fillTable({ heads, rows }) {
  const cell = (kind, text, place) => {
    const node = document.createElement(kind);
    node.textContent = text;
    node.classList.toggle("number", place % 2 === 1);
    return node;
  };
  const head = document.createElement("tr");
  head.append(...heads.map((text, place) => cell("th", text, place)));
  at("words").tHead.replaceChildren(head);
  at("words").tBodies[0].replaceChildren(
    ...rows.map((row) => {
      const line = document.createElement("tr");
      line.append(...row.cells.map((text, place) => cell("td", text, place)));
      line.classList.toggle("differs", row.cells.length > 2 && row.cells[0] !== row.cells[2]);
      line.addEventListener("mouseenter", () => light(row, true));
      line.addEventListener("mouseleave", () => light(row, false));
      return line;
    }),
  );
}

function light(row, on) {
  for (const kind of ["chosen", "forced"]) {
    at("outlines").querySelector(`.${kind}[data-word="${row[kind]}"]`)?.classList.toggle("lit", on);
  }
}

async function copyTable() {
  const text = tableText(tableCells(current.chosen, current.forced));
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Browsers keep the clipboard from pages that come over plain HTTP from another machine.
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  at("status").textContent = "The table is in the clipboard.";
}

function listen() {
  at("files").addEventListener("change", (event) => {
    add([...event.target.files]);
    event.target.value = "";
  });
  at("slider").addEventListener("input", showSlider);
  at("slider").addEventListener("change", () => readInTurn(current, Number(at("slider").value)));
  document.querySelectorAll("input[name=shown]").forEach((input) => input.addEventListener("change", showOutlines));
  at("copy").addEventListener("click", copyTable);
  at("again").addEventListener("click", () => readInTurn(current));
  at("photo").addEventListener("error", () => {
    current.unseen = true;
    show(current);
  });
  document.addEventListener("paste", (event) => add([...event.clipboardData.files]));
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    document.body.classList.add("dropping");
  });
  document.addEventListener("dragleave", () => document.body.classList.remove("dropping"));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    document.body.classList.remove("dropping");
    add([...event.dataTransfer.files]);
  });
}

async function start() {
  listen();
  model = await (await fetch("v1/model")).json();
  at("model").textContent = `model ${model.name}, ${model.runtime}`;
  if (model.scales.length) {
    at("slider").min = Math.min(...model.scales);
    at("slider").max = 1;
  }
  photos.forEach(show);
}

start();

/* The page: which recording, which stretch, keys, hover, marks. The service computes; nothing is scored here. */
"use strict";

const SHORTEST_S = 0.5, FIRST_S = 30, TOKEN = "qualityfm-token";
const byId = (id) => document.getElementById(id);
const state = { number: 0, duration: 0, range: [0, FIRST_S], loaded: null, plots: [], marks: [], canMark: false, asked: 0, pointed: null, redraws: [] };
window.viewer = state;

/* ---- asking the service ---- */
async function ask(path, options = {}) {
  const token = sessionStorage.getItem(TOKEN), headers = { ...(options.headers || {}) };
  if (token) headers.Authorization = "Bearer " + token;
  const answer = await fetch(path, { ...options, headers });
  if (answer.status === 401) return enter().then(() => ask(path, options));
  if (answer.status === 503 && (options.tries || 0) < 5) {
    await new Promise((then) => setTimeout(then, 1000));
    return ask(path, { ...options, tries: (options.tries || 0) + 1 });
  }
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.error ? body.error.message : `status ${answer.status}`);
  return body;
}

let entering = null;
function enter() {
  entering = entering || new Promise((then) => {
    const dialog = byId("entrance"), form = dialog.querySelector("form");
    form.onsubmit = () => { sessionStorage.setItem(TOKEN, form.elements.token.value); entering = null; then(); };
    dialog.oncancel = (event) => event.preventDefault();
    dialog.showModal();
  });
  return entering;
}

function say(text, isBad) {
  byId("message").textContent = text;
  byId("message").className = isBad ? "bad" : "";
}
const guarded = (work) => (...given) => work(...given).catch((error) => say(error.message, true));

/* ---- one recording ---- */
const openRecording = guarded(async (number) => {
  say("reading …");
  Object.assign(state, { number, loaded: null, plots: [], marks: [], pointed: null });
  byId("channels").replaceChildren();
  byId("recordings").value = number;
  const table = await ask(`/v1/recordings/${number}`);
  if (state.number !== number) return;
  state.duration = table.duration_s;
  document.title = `${table.name} · QualityFM`;
  state.plots = table.channels.map((channel, index) => new ChannelPlot(channel, index, hover));
  for (const plot of state.plots) byId("channels").append(plot.root);
  for (const plot of state.plots) { plot.build(); steer(plot); }
  const names = byId("marking").querySelector("select");
  names.replaceChildren(new Option("all", ""), ...table.channels.map((c) => new Option(c.name, c.name)));
  say(table.notes.join(" · "));
  await loadMarks();
  go(0, Math.min(FIRST_S, state.duration));
  follow(number);
  beginAlarms(number);
});

/* Quality grows while the service scores; ask until it is done. */
async function follow(number) {
  let done = false;
  while (!done && state.number === number) {
    try {
      const whole = await ask(`/v1/recordings/${number}/quality?start_s=0&end_s=${Math.max(state.duration, 1)}&columns=1200`);
      if (state.number !== number) return;
      drawOverview(whole);
      await loadQuality();
      done = whole.problem || whole.scored_s >= whole.duration_s;
      if (whole.problem) say(whole.problem, true);
      else say(done ? "" : `scoring ${Math.round(100 * whole.scored_s / whole.duration_s)} %`);
    } catch (error) { say(error.message, true); return; }
    if (!done) await new Promise((then) => setTimeout(then, 700));
  }
}

function drawOverview(whole) {
  state.whole = whole;
  const canvas = byId("overview").querySelector("canvas"), width = byId("overview").clientWidth;
  const context = sized(canvas, width, 18), lines = whole.channels, height = 18 / Math.max(1, lines.length);
  context.clearRect(0, 0, width, 18);
  lines.forEach((line, row) => {
    for (const cell of line.cells) {
      const left = cell.start_s / state.duration * width;
      context.fillStyle = cellColour(cell);
      context.fillRect(left, row * height, Math.max(1, (cell.end_s - cell.start_s) / state.duration * width), height);
    }
  });
}

/* ---- moving ---- */
function go(start, end) {
  const length = Math.min(Math.max(end - start, SHORTEST_S), Math.max(state.duration, SHORTEST_S));
  const first = Math.min(Math.max(0, start), Math.max(0, state.duration - length));
  state.range = [first, first + length];
  const began = performance.now();
  for (const plot of state.plots) plot.move(state.range);
  state.redraws.push(performance.now() - began);
  byId("where").textContent = `${clockText(first)} – ${clockText(first + length)} of ${clockText(state.duration)}`;
  const shown = byId("window").style;
  shown.left = 100 * first / state.duration + "%";
  shown.width = 100 * length / state.duration + "%";
  schedule();
}
const zoom = (factor, around) => {
  const [a, b] = state.range, middle = around === undefined ? (a + b) / 2 : around;
  go(middle - (middle - a) * factor, middle + (b - middle) * factor);
};
const shift = (fraction) => { const [a, b] = state.range, by = (b - a) * fraction; go(a + by, b + by); };
const jump = guarded(async (what) => {
  const { spot } = await ask(`/v1/recordings/${state.number}/${what}`);
  if (!spot) return say("no artefact found");
  const room = Math.max(10, (spot.end_s - spot.start_s) * 0.25);
  state.spot = spot;
  go(spot.start_s - room, Math.min(spot.end_s, spot.start_s + 300) + room);
  say(`${state.plots[spot.channel].table.name}: ${clockText(spot.start_s)} – ${clockText(spot.end_s)}, quality ${spot.quality.toFixed(2)}, ${spot.causes || "no cause named"}`);
});
const nextArtefact = () => jump(`next?after_s=${state.spot ? state.spot.start_s : state.range[0] - 0.5}`);

/* ---- what is shown ---- */
let waiting = 0;
function schedule() {
  const [a, b] = state.range, held = state.loaded;
  const isCoarse = held && (held[1] - held[0]) > 4 * (b - a);
  if (held && held[0] <= Math.max(0, a) && held[1] >= Math.min(b, state.duration) && !isCoarse) {
    clearTimeout(waiting);
    waiting = setTimeout(loadQuality, 60);
    return;
  }
  clearTimeout(waiting);
  waiting = setTimeout(load, 40);
}
const load = guarded(async () => {
  const [a, b] = state.range, room = (b - a) / 2, asked = ++state.asked, number = state.number;
  const from = Math.max(0, a - room), to = b + room;
  const columns = Math.min(4000, Math.round(2 * (state.plots[0] ? state.plots[0].width() : 800)));
  const view = await ask(`/v1/recordings/${number}/view?start_s=${from}&end_s=${to}&columns=${columns}`);
  if (asked !== state.asked || number !== state.number) return;
  state.loaded = [from, to];
  const began = performance.now();
  view.channels.forEach((one, index) => state.plots[index].show(one));
  state.redraws.push(performance.now() - began);
  await loadQuality();
});
const loadQuality = guarded(async () => {
  const [a, b] = state.range, room = (b - a) / 2, number = state.number;
  const answer = await ask(`/v1/recordings/${number}/quality?start_s=${Math.max(0, a - room)}&end_s=${b + room}&columns=1200`);
  if (number !== state.number) return;
  for (const line of answer.channels) {
    state.plots[line.channel].cells = line.cells;
    state.plots[line.channel].drawRibbon();
  }
});

function hover(plot, event) {
  const second = plot.secondAt(event), cell = plot.causesAt(second);
  if (second < 0 || second > state.duration) return;
  state.pointed = { second, plot };
  const quality = cell ? `${cell.grade} ${cell.quality.toFixed(2)} ${cell.causes}` : "not scored";
  byId("hover").textContent = `${clockText(Math.round(second * 10) / 10)} · ${plot.table.name} · ${quality}`;
}

/* ---- drag, wheel, two fingers ---- */
function steer(plot) {
  const touches = new Map(), perPixel = () => (state.range[1] - state.range[0]) / (plot.width() - AXIS_WIDTH);
  plot.holder.addEventListener("wheel", (event) => {
    event.preventDefault();
    if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) return shift((event.deltaX || event.deltaY) / 1000);
    return zoom(event.deltaY > 0 ? 1.25 : 0.8, plot.secondAt(event));
  }, { passive: false });
  plot.holder.addEventListener("pointerdown", (event) => { touches.set(event.pointerId, event.clientX); plot.holder.setPointerCapture(event.pointerId); });
  plot.holder.addEventListener("pointermove", (event) => {
    if (!touches.has(event.pointerId)) return;
    const before = [...touches.values()];
    touches.set(event.pointerId, event.clientX);
    const after = [...touches.values()];
    if (after.length === 1) { const by = (before[0] - after[0]) * perPixel(); go(state.range[0] + by, state.range[1] + by); }
    else if (after.length === 2) zoom(Math.max(1, Math.abs(before[0] - before[1])) / Math.max(1, Math.abs(after[0] - after[1])));
  });
  for (const name of ["pointerup", "pointercancel"]) plot.holder.addEventListener(name, (event) => touches.delete(event.pointerId));
}

/* ---- marks ---- */
const loadMarks = guarded(async () => {
  if (!state.canMark) return;
  state.marks = (await ask(`/v1/recordings/${state.number}/marks`)).marks;
  for (const plot of state.plots) {
    plot.marks = state.marks.filter((mark) => !mark.channel || mark.channel === plot.table.name);
    plot.plot.redraw();
  }
  byId("marks").querySelector("ul").replaceChildren(...state.marks.map(markLine));
});
function markLine(mark, place) {
  const line = element("li"), words = `${clockText(mark.start_s)} – ${clockText(mark.end_s)} ${mark.channel} ${mark.label} ${mark.note}`;
  const there = element("button", "", words), remove = element("button", "", "Remove");
  there.onclick = () => go(mark.start_s - 5, mark.end_s + 5);
  remove.onclick = guarded(async () => { await ask(`/v1/recordings/${state.number}/marks/${place}`, { method: "DELETE" }); await loadMarks(); });
  line.append(there, " ", remove);
  return line;
}
function startMark() {
  if (!state.canMark) return say("no file for marks: start the service with --annotations FILE", true);
  const dialog = byId("marking"), form = dialog.querySelector("form"), fields = form.elements;
  const second = state.pointed && Math.floor(state.pointed.second);
  const [a, b] = state.pointed ? [Math.max(0, second), Math.min(state.duration, second + 1)] : state.range;
  fields.start_s.value = a.toFixed(2);
  fields.end_s.value = Math.min(b, Math.floor(state.duration * 100) / 100).toFixed(2);
  fields.channel.value = state.pointed ? state.pointed.plot.table.name : "";
  form.onsubmit = guarded(async (event) => {
    if (event.submitter && event.submitter.value !== "save") return;
    const mark = { start_s: +fields.start_s.value, end_s: +fields.end_s.value, channel: fields.channel.value, label: fields.label.value, note: fields.note.value };
    await ask(`/v1/recordings/${state.number}/marks`, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(mark) });
    say("marked");
    await loadMarks();
  });
  return dialog.showModal();
}

/* ---- keys and buttons ---- */
const ACTIONS = {
  home: () => go(0, state.range[1] - state.range[0]),
  end: () => go(state.duration - (state.range[1] - state.range[0]), state.duration),
  back: () => shift(-0.25), forward: () => shift(0.25), closer: () => zoom(0.5), farther: () => zoom(2),
  whole: () => go(0, state.duration), next: nextArtefact, worst: () => jump("worst"), mark: startMark,
  alarm: () => stepAlarm(1), earlier: () => stepAlarm(-1), keep: () => decide("keep"), mute: () => decide("mute"), undo: () => decide(""), help: () => byId("keys").showModal(),
};
const KEYS = { ArrowLeft: "back", ArrowRight: "forward", "+": "closer", "=": "closer", "-": "farther", 0: "whole", Home: "home", End: "end", n: "next", w: "worst", a: "mark", l: "alarm", L: "earlier", k: "keep", m: "mute", u: "undo", "?": "help" };
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]") || /INPUT|SELECT/.test(event.target.tagName)) return;
  const action = KEYS[event.key];
  if (!action || !state.plots.length) return;
  event.preventDefault();
  if (event.shiftKey && action === "back") shift(-1);
  else if (event.shiftKey && action === "forward") shift(1);
  else ACTIONS[action]();
});
for (const [id, action] of Object.entries(ACTIONS)) if (byId(id)) byId(id).onclick = () => state.plots.length && action();
byId("overview").onclick = (event) => {
  const box = byId("overview").getBoundingClientRect(), length = state.range[1] - state.range[0];
  const middle = (event.clientX - box.left) / box.width * state.duration;
  go(middle - length / 2, middle + length / 2);
};
byId("recordings").onchange = (event) => { state.spot = null; openRecording(+event.target.value); event.target.blur(); };
const rebuild = () => { for (const plot of state.plots) plot.build(); if (state.plots.length) go(...state.range); if (state.whole) drawOverview(state.whole); };
window.addEventListener("resize", rebuild);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", rebuild);

const begin = guarded(async () => {
  const missing = element("b", "missing", "missing");
  missing.style.background = "var(--missing)";
  byId("grades").append(missing);
  for (const letter of GRADES) { const box = element("b", "", letter); box.style.background = `var(--${letter})`; byId("grades").append(box); }
  const listing = await ask("/v1/recordings");
  state.canMark = listing.marks;
  byId("marks").hidden = !listing.marks;
  byId("recordings").replaceChildren(...listing.recordings.map((one) => new Option(one.name + (one.problem ? " (unreadable)" : ""), one.number)));
  await openRecording(listing.recordings[0].number);
});
window.addEventListener("DOMContentLoaded", begin);

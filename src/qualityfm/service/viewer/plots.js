/* One channel: its trace, what is missing, its marks and its ribbon. Text from files only ever enters as textContent. */
"use strict";

const PLOT_HEIGHT = 150, AXIS_WIDTH = 64, GRADES = ["A", "B", "C", "D", "E"], MISSING = "dropout";

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
}

function element(tag, className, text) {
  const made = document.createElement(tag);
  made.className = className || "";
  made.textContent = text || "";
  return made;
}

function clockText(seconds) {
  const whole = Math.floor(Math.abs(seconds) + 1e-9), rest = Math.abs(seconds) - whole;
  const parts = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60].map((v) => String(v).padStart(2, "0"));
  return parts.join(":") + (rest > 0.0005 ? rest.toFixed(3).slice(1) : "");
}

/* Ticks that a clock has, s. */
const TICKS_S = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400];
const LABEL_WIDTH = 60;

/* Labels of the axis: no hours where the view has none, and none that the right edge would cut. */
function tickTexts(plot, splits) {
  const { min, max } = plot.scales.x, room = LABEL_WIDTH / 2 / Math.max(1, plot.width - AXIS_WIDTH);
  return splits.map((second) => {
    if ((max - second) / (max - min) < room) return "";
    const text = clockText(second).replace(/(\.\d*?)0+$/, "$1");
    return max < 3600 ? text.replace(/^00:/, "") : text;
  });
}

function cellColour(cell) {
  return colour(cell.causes === MISSING && cell.quality === 0 ? "missing" : cell.grade);
}

function gradesIn(context, width, height, cells, fromSecond, toSecond) {
  context.clearRect(0, 0, width, height);
  for (const cell of cells) {
    const left = (cell.start_s - fromSecond) / (toSecond - fromSecond) * width;
    const right = (cell.end_s - fromSecond) / (toSecond - fromSecond) * width;
    context.fillStyle = cellColour(cell);
    context.fillRect(left, 0, Math.max(1, right - left), height);
  }
}

function sized(canvas, width, height) {
  const ratio = window.devicePixelRatio || 1;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  canvas.style.width = width + "px";
  const context = canvas.getContext("2d");
  context.scale(ratio, ratio);
  return context;
}

class ChannelPlot {
  constructor(table, index, onHover) {
    this.table = table;
    this.index = index;
    this.cells = [];
    this.gaps = [];
    this.marks = [];
    this.alarms = [];
    this.windows = [];
    this.range = [0, 1];
    this.root = element("section", "channel");
    const head = element("h2", "", table.name + " ");
    head.append(element("small", "", `${table.kind} · ${table.unit} · ${table.sample_rate_hz} Hz`));
    this.holder = element("div", "plot");
    this.ribbon = element("canvas", "ribbon");
    this.ribbon.addEventListener("pointermove", (event) => onHover(this, event));
    this.holder.addEventListener("pointermove", (event) => onHover(this, event));
    this.root.append(head, this.holder, this.ribbon);
  }

  width() { return Math.max(200, this.root.clientWidth); }

  build() {
    if (this.plot) this.plot.destroy();
    const grid = { stroke: colour("line"), width: 1 }, ink = colour("ink");
    this.plot = new uPlot({
      width: this.width(), height: PLOT_HEIGHT, legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, sync: { key: "time" } },
      scales: { x: { time: false, range: () => this.range } },
      axes: [
        { stroke: ink, grid, ticks: grid, size: 28, space: 96, incrs: TICKS_S, values: tickTexts },
        { stroke: ink, grid, ticks: grid, size: AXIS_WIDTH },
      ],
      padding: [8, 0, 0, 0],
      series: [{}, { stroke: colour("trace"), width: 1, points: { show: false }, spanGaps: false }],
      hooks: { drawClear: [(plot) => this.behind(plot)] },
    }, this.data || [[], []], this.holder);
    this.drawRibbon();
  }

  behind(plot) {
    const { left, top, width, height } = plot.bbox, context = plot.ctx;
    context.save();
    context.beginPath();
    context.rect(left, top, width, height);
    context.clip();
    const band = (from, to, paint) => {
      const a = plot.valToPos(from, "x", true), b = plot.valToPos(to, "x", true);
      if (b >= left && a <= left + width) paint(Math.max(a, left - 20), Math.min(Math.max(b, a + 1), left + width + 20));
    };
    context.fillStyle = colour("mark");
    for (const mark of this.marks) band(mark.start_s, mark.end_s, (a, b) => context.fillRect(a, top, b - a, height));
    context.strokeStyle = context.fillStyle = colour("gap");
    for (const [from, to] of this.gaps) band(from, to, (a, b) => hatch(context, a, top, b - a, height));
    this.alarmLines(context, plot);
    context.restore();
  }

  alarmLines(context, plot) {
    const { top, height } = plot.bbox;
    context.strokeStyle = colour("alarm");
    context.lineWidth = 2 * (window.devicePixelRatio || 1);
    context.setLineDash([6, 4]);
    context.beginPath();
    for (const alarm of this.alarms) {
      if (alarm.alarm_s < this.range[0] || alarm.alarm_s > this.range[1]) continue;
      const x = plot.valToPos(alarm.alarm_s, "x", true);
      context.moveTo(x, top);
      context.lineTo(x, top + height);
    }
    context.stroke();
  }

  show(view) {
    this.data = [view.times_s, view.values];
    this.gaps = view.gaps_s;
    this.plot.setData(this.data, false);
    this.move(this.range);
  }

  move(range) {
    this.range = range;
    this.plot.batch(() => {
      this.plot.setScale("x", { min: range[0], max: range[1] });
      const [low, high] = this.extremes();
      this.plot.setScale("y", { min: low, max: high });
    });
    this.drawRibbon();
  }

  extremes() {
    let low = Infinity, high = -Infinity;
    const [times, values] = this.data || [[], []];
    for (let i = 0; i < times.length; i++) {
      if (times[i] < this.range[0] || times[i] > this.range[1] || values[i] === null) continue;
      if (values[i] < low) low = values[i];
      if (values[i] > high) high = values[i];
    }
    if (low > high) return [0, 1];
    const room = (high - low) * 0.05 || Math.abs(high) * 0.05 || 1;
    return [low - room, high + room];
  }

  drawRibbon() {
    const width = this.width() - AXIS_WIDTH, height = this.windows.length ? 20 : 14;
    const context = sized(this.ribbon, width, height), [from, to] = this.range;
    this.ribbon.style.marginLeft = AXIS_WIDTH + "px";
    this.ribbon.style.height = height + "px";
    gradesIn(context, width, 14, this.cells, from, to);
    for (const one of this.windows) {
      if (one.end_s < from || one.start_s > to) continue;
      const left = (one.start_s - from) / (to - from) * width, right = (one.end_s - from) / (to - from) * width;
      context.fillStyle = colour({ yes: "alarm", no: "line" }[one.answer] || "soft");
      context.fillRect(left, 16, Math.max(1, right - left - 1), 4);
    }
  }

  secondAt(event) {
    const box = this.root.getBoundingClientRect();
    const fraction = (event.clientX - box.left - AXIS_WIDTH) / (this.width() - AXIS_WIDTH);
    return this.range[0] + fraction * (this.range[1] - this.range[0]);
  }

  causesAt(second) {
    return this.cells.find((cell) => cell.start_s <= second && second < cell.end_s);
  }
}

function hatch(context, left, top, width, height) {
  context.fillRect(left, top, width, height);
  context.save();
  context.beginPath();
  context.rect(left, top, width, height);
  context.clip();
  context.beginPath();
  for (let x = left - height; x < left + width; x += 8) {
    context.moveTo(x, top + height);
    context.lineTo(x + height, top);
  }
  context.stroke();
  context.restore();
}

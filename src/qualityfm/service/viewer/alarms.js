/* Alarms to keep or mute, with the reasons; and a task's answers. The service judges; nothing is decided here. */
"use strict";

const alarmState = { list: [], current: -1, canDecide: false, counts: [], windows: [] };
state.alarms = alarmState;
const alarmPath = (place) => `/v1/recordings/${state.number}/alarms${place === undefined ? "" : "/" + place}`;

/* ---- what is there ---- */
const loadAlarms = guarded(async () => {
  const number = state.number, found = await ask(alarmPath());
  if (number !== state.number) return;
  alarmState.list = found.alarms;
  alarmState.canDecide = found.can_decide;
  alarmState.counts = (await ask("/v1/alarms")).recordings;
  byId("alarms").hidden = !found.alarms.length && !alarmState.counts.length;
  drawAlarms();
});

function drawAlarms() {
  const all = alarmState.counts.reduce((sum, one) => sum + one.alarms, 0);
  const decided = alarmState.counts.reduce((sum, one) => sum + one.decided, 0);
  byId("decided").textContent = all ? `${decided} of ${all} decided` : "";
  byId("alarm-list").replaceChildren(...alarmState.list.map(alarmLine));
  for (const plot of state.plots) { plot.alarms = alarmState.list; plot.plot.redraw(false); }
}

function alarmLine(alarm, place) {
  const line = element("li", place === alarmState.current ? "current" : "");
  const there = element("button", "", `${clockText(alarm.alarm_s)} ${alarm.alarm}`);
  there.onclick = () => showAlarm(place);
  line.append(there, " ", element("b", alarm.decision, alarm.decision || "open"), " ", element("span", "", alarm.reason));
  return line;
}

/* Forget what belongs to another recording; then ask for its alarms and its task's answers until all are there. */
async function beginAlarms(number) {
  Object.assign(alarmState, { list: [], current: -1, windows: [] });
  byId("reasons").replaceChildren();
  await loadAlarms();
  let done = false;
  while (!done && state.number === number) {
    try {
      const found = await ask(`/v1/recordings/${number}/task`);
      if (state.number !== number) return;
      alarmState.windows = found.windows;
      for (const plot of state.plots) { plot.windows = found.windows; plot.drawRibbon(); }
      done = found.problem || found.windows.length >= found.num_windows;
      if (found.problem) say(found.problem, true);
      if (found.num_windows) await loadAlarms();
    } catch (error) { say(error.message, true); return; }
    if (!done) await new Promise((then) => setTimeout(then, 1000));
  }
}

/* ---- one alarm ---- */
const showAlarm = guarded(async (place) => {
  const alarm = alarmState.list[place], number = state.number;
  alarmState.current = place;
  go(alarm.alarm_s - 20, alarm.alarm_s + 10);
  drawAlarms();
  say(`${clockText(alarm.alarm_s)} ${alarm.alarm}`);
  byId("reasons").replaceChildren(element("li", "", "judging …"));
  const found = await ask(alarmPath(place));
  if (number !== state.number || place !== alarmState.current) return;
  const lines = found.reasons.map((text) => element("li", "", text));
  if (found.suggestion) lines.push(element("li", "suggestion", `suggested: ${found.suggestion}`));
  byId("reasons").replaceChildren(...lines);
});

const decide = guarded(async (decision) => {
  const place = alarmState.current;
  if (place < 0) return say("choose an alarm first (l)", true);
  if (!alarmState.canDecide) return say("no file for decisions: start the service with --decisions FILE", true);
  const body = JSON.stringify({ decision, reason: decision ? byId("reason").value : "" });
  await ask(alarmPath(place), { method: "POST", headers: { "Content-Type": "application/json" }, body });
  byId("reason").value = "";
  await loadAlarms();
  say(decision ? `${decision}: ${clockText(alarmState.list[place].alarm_s)} ${alarmState.list[place].alarm}` : "taken back");
});

/* The next alarm of this recording, or the first of the next recording that has any; the same backwards. */
const stepAlarm = guarded(async (step) => {
  const place = alarmState.current < 0 && step < 0 ? alarmState.list.length - 1 : alarmState.current + step;
  if (place >= 0 && place < alarmState.list.length) return showAlarm(place);
  const others = alarmState.counts.map((one) => one.number).filter((n) => step > 0 ? n > state.number : n < state.number);
  if (!others.length) return say(step > 0 ? "that was the last alarm" : "that was the first alarm");
  await openRecording(step > 0 ? Math.min(...others) : Math.max(...others));
  await loadAlarms();
  if (alarmState.list.length) await showAlarm(step > 0 ? 0 : alarmState.list.length - 1);
});

// The page of one video: the player, the curve and the table of events show one moment and one chosen event.

const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const labels = new Labels(data);
const player = document.querySelector("video");
const found = data.events.map((event, position) => ({ ...event, position }));
let events = [];
let chosen = null;
let present = data.edges[0];
let missedFrom = null;

const verdictOf = (event) => (event.position === undefined ? "added" : labels.verdicts.get(event.position));

function seek(seconds) {
  present = Math.min(Math.max(seconds, data.edges[0]), data.edges.at(-1));
  if (player && !player.hidden) player.currentTime = present;
  showPresent();
}

function showPresent() {
  curve.moveTo(present);
  const place = Math.min(positionAt(data.edges, present), data.edges.length - 2);
  const shown = data.classes.map((name, series) => `${name} ${percent(data.curves[series][place])}`);
  byId("now").textContent = [clock(present), ...shown].join(" · ");
  byId("curve").ariaValueNow = present.toFixed(1);
  byId("curve").ariaValueText = byId("now").textContent;
}

function choose(event) {
  chosen = curve.chosen = event;
  if (event) {
    seek(event.onset);
    const until = `${event.class_name}, ${clock(event.onset)} to ${clock(event.offset)}`;
    const said = verdictOf(event) ?? "not reviewed";
    say(`Event ${events.indexOf(event) + 1} of ${events.length}: ${until}, ${said}`);
  }
  curve.draw();
  table.choose(event);
}

function say(text) {
  byId("status").textContent = text;
}

/** Goes to the next or previous event: after the chosen one, else after the present. */
function step(direction) {
  const later = events.findIndex((event) => event.onset > present);
  const next = later < 0 ? events.length : later;
  const position = chosen ? events.indexOf(chosen) + direction : direction > 0 ? next : next - 1;
  if (events[position]) choose(events[position]);
  else say(direction > 0 ? "No later event." : "No earlier event.");
}

function judge(event, verdict) {
  if (!event) {
    say("No event is chosen.");
    return;
  }
  if (event.position !== undefined) labels.judge(event.position, verdict);
  else if (verdict === "rejected") labels.remove(event);
  showLabels();
  if (events.includes(event)) choose(event);
}

function beginMissed() {
  missedFrom = present;
  say(`A missed event begins at ${clock(present)}; mark where it ends.`);
}

function endMissed() {
  if (missedFrom === null || present <= missedFrom) {
    say("Mark the beginning of the missed event first, then a later moment as its end.");
    return;
  }
  labels.add({ class_name: byId("missed-class").value, onset: missedFrom, offset: present });
  missedFrom = null;
  showLabels();
  say("The missed event is added.");
}

/** Shows events with the added ones among them, and how many are reviewed. */
function showLabels() {
  const added = labels.added.map((event) => Object.assign(event, { series: seriesOf(event.class_name) }));
  events = [...found, ...added].sort((one, other) => one.onset - other.onset);
  if (!events.includes(chosen)) chosen = curve.chosen = null;
  curve.events = events;
  curve.draw();
  if (table.rows.length !== events.length) table.setRows(events);
  else table.draw();
  const [confirmed, rejected] = [labels.count("confirmed"), labels.count("rejected")];
  const open = found.length - confirmed - rejected;
  byId("reviewed").textContent = `${confirmed} confirmed, ${rejected} rejected, ${added.length} added, ${open} open`;
  byId("watched").checked = labels.watched;
  byId("not-kept").hidden = labels.kept;
}

function seriesOf(name) {
  const series = data.classes.indexOf(name);
  return series < 0 ? null : series;
}

function verdictButtons(event, row) {
  if (row === undefined) {
    const button = element("button", { type: "button", textContent: "Remove" });
    button.addEventListener("click", () => judge(event, "rejected"));
    return button;
  }
  const button = (verdict, text) => {
    const made = element("button", { type: "button", textContent: text, ariaPressed: verdictOf(event) === verdict });
    made.dataset.key = `${row} ${verdict}`;
    made.addEventListener("click", () => judge(event, verdict));
    return made;
  };
  return element("span", { className: "verdict" }, button("confirmed", "Confirm"), button("rejected", "Reject"));
}

function timeButton(event) {
  const button = element("button", { type: "button", className: "link", textContent: clock(event.onset) });
  button.dataset.key = `${event.position} time`;
  button.addEventListener("click", () => choose(event));
  return button;
}

const columns = [
  { label: "From", width: "7rem", value: (event) => event.onset, show: timeButton },
  { label: "To", width: "7rem", value: (event) => event.offset, show: (event) => clock(event.offset) },
  { label: "Seconds", width: "6rem", value: (event) => event.offset - event.onset,
    show: (event) => (event.offset - event.onset).toFixed(1) },
  { label: "Class", width: "9rem", value: (event) => event.class_name },
  { label: "Highest", width: "6.5rem", value: (event) => event.probability ?? null,
    show: (event) => (event.probability === undefined ? "–" : percent(event.probability)) },
  { label: "Verdict", width: "13rem", value: (event) => verdictOf(event) ?? "open",
    show: (event) => verdictButtons(event, event.position) },
];

const curve = new Curve(byId("curve"), data, {
  onSeek(seconds) {
    seek(seconds);
    const inside = events.find((event) => event.onset <= seconds && seconds < event.offset) ?? null;
    if (inside !== chosen) {
      chosen = curve.chosen = inside;
      curve.draw();
      table.choose(inside);
    }
  },
  onChoose: choose,
});
curve.verdictOf = verdictOf;
const table = new LongTable(byId("events"), "events", columns, [], { onChoose: choose });
if (data.segments.length) {
  const segmentColumns = [
    { label: "From", width: "8rem", value: (segment) => segment.start, show: (segment) => clock(segment.start) },
    { label: "To", width: "8rem", value: (segment) => segment.end, show: (segment) => clock(segment.end) },
    { label: "Class", width: "12rem", value: (segment) => segment.class_name },
    { label: "Mean", width: "8rem", value: (segment) => segment.probability,
      show: (segment) => percent(segment.probability) },
  ];
  new LongTable(byId("segments"), "segments", segmentColumns, data.segments, { onChoose: (segment) => seek(segment.start) });
}

const actions = {
  next: () => step(1),
  previous: () => step(-1),
  confirm: () => judge(chosen, "confirmed"),
  reject: () => judge(chosen, "rejected"),
  "zoom-in": () => curve.zoom(0.5),
  "zoom-out": () => curve.zoom(2),
  whole: () => curve.zoom(Infinity),
  "missed-from": beginMissed,
  "missed-to": endMissed,
  download: () => downloadCsv(`${data.name.split("/").at(-1)}.labels.csv`, labels.rows()),
};
const keys = { n: "next", p: "previous", c: "confirm", r: "reject", "+": "zoom-in", "=": "zoom-in", "-": "zoom-out", 0: "whole",
  "[": "missed-from", "]": "missed-to" };

for (const button of document.querySelectorAll("[data-action]")) {
  button.addEventListener("click", () => actions[button.dataset.action]());
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select")) return;
  if (event.key === " " && player && !player.hidden && !event.target.closest("button, video, a")) {
    event.preventDefault();
    if (player.paused) player.play();
    else player.pause();
  } else if (Object.hasOwn(keys, event.key)) {
    event.preventDefault();
    actions[keys[event.key]]();
  }
});

byId("curve").addEventListener("keydown", (event) => {
  const [begin, end] = curve.view;
  const moves = { ArrowLeft: -1, ArrowRight: 1, PageUp: (begin - end) / 10, PageDown: (end - begin) / 10,
    Home: -Infinity, End: Infinity };
  if (!Object.hasOwn(moves, event.key)) return;
  event.preventDefault();
  seek(present + moves[event.key]);
});

byId("watched").addEventListener("change", (event) => labels.setWatched(event.target.checked));

if (player) {
  const sources = byId("source");
  const follow = () => {
    present = player.currentTime;
    showPresent();
    if (!player.paused) requestAnimationFrame(follow);
  };
  for (const kind of ["play", "timeupdate"]) player.addEventListener(kind, follow);
  player.addEventListener("error", () => {
    player.hidden = true;
    byId("not-played").hidden = false;
  });
  sources?.addEventListener("change", () => {
    player.hidden = false;
    byId("not-played").hidden = true;
    player.src = sources.value;
    player.currentTime = present;
  });
}

showLabels();
showPresent();
const [, wanted] = /^#event=(\d+)$/.exec(location.hash) ?? [];
if (found[wanted]) choose(found[wanted]);

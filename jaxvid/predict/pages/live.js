// The page of a camera: the server sends what is new.

const KEPT_SECONDS = 300;
const SILENCE = 5000; // Milliseconds without news after which the page says so.

const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const frame = byId("frame");
let events = [];
let lasting = 0;
let heard = performance.now();
let loading = false;

const series = { edges: [0, 1], curves: data.classes.map(() => []), thresholds: data.thresholds, segments: [], flaws: [] };
const curve = new Curve(byId("curve"), series, { onSeek() {}, onChoose() {} });
const timeOf = (seconds) => new Date(1000 * (data.began + seconds)).toLocaleTimeString();
const columns = [
  { label: "When", width: "8rem", value: (event) => event.onset, show: (event) => timeOf(event.onset) },
  { label: "Since the start", width: "9rem", value: (event) => event.onset, show: (event) => clock(event.onset) },
  { label: "Seconds", width: "8rem", value: (event) => (event.offset ?? Infinity) - event.onset,
    show: (event) => (event.offset === null ? "lasting" : (event.offset - event.onset).toFixed(1)) },
  { label: "Class", width: "auto", value: (event) => event.class_name },
  { label: "Highest", width: "7rem", value: (event) => event.probability, show: (event) => percent(event.probability) },
];
const table = new LongTable(byId("events"), "events", columns, [], { sortBy: 0, descending: true });

function take(message) {
  heard = performance.now();
  if (message.first) {
    series.edges = [0];
    series.curves = data.classes.map(() => []);
  }
  for (const [end, ...probabilities] of message.windows) {
    series.edges.push(end);
    probabilities.forEach((probability, number) => series.curves[number].push(probability));
  }
  const now = series.edges.at(-1);
  const old = positionAt(series.edges, now - KEPT_SECONDS);
  series.edges.splice(0, old);
  for (const values of series.curves) values.splice(0, old);
  showEvents(message.events, now);
  curve.whole = [Math.max(0, now - KEPT_SECONDS), Math.max(now, 1)];
  curve.view = curve.whole;
  curve.events = events.map((event) => ({ ...event, offset: event.offset ?? now }));
  curve.seconds = now;
  curve.draw();
  const present = series.curves.map((values) => values.at(-1));
  byId("probability").textContent = present.length && present[0] !== undefined ? percent(present[0]) : "";
  byId("state").textContent = data.classes.slice(0, 1).concat(
    data.classes.slice(1).map((name, number) => `${name} ${percent(present[number + 1] ?? 0)}`),
  ).join(" · ");
  const delays = [message.latency, message.median_latency].map((seconds) => `${Math.round(1000 * seconds)} ms`);
  byId("delay").textContent =
    `${clock(now)} since the start; ${delays[0]} from the last frame to the result (median ${delays[1]}); ` +
    `${message.dropped} of ${message.frames} frames dropped`;
  showFrame(message.frames);
}

function showEvents(news, now) {
  const changed = JSON.stringify(news) !== JSON.stringify(events.map(({ series: _, ...event }) => event));
  if (!changed) return;
  events = news.map((event) => {
    const number = data.classes.indexOf(event.class_name);
    return { ...event, series: number < 0 ? null : number };
  });
  const open = events.filter((event) => event.offset === null);
  if (open.length > lasting) byId("alarm").textContent = `${open.at(-1).class_name} since ${timeOf(open.at(-1).onset)}`;
  if (!open.length) byId("alarm").textContent = "";
  lasting = open.length;
  document.title = open.length ? `● ${open.at(-1).class_name}` : "jaxvid: live";
  table.setRows(events);
}

/** Loads the last frame, unless one is on its way. */
function showFrame(number) {
  if (loading || !number) return;
  loading = true;
  frame.src = `frame.jpg?${number}`;
}

frame.addEventListener("load", () => {
  loading = false;
  frame.hidden = false;
});
frame.addEventListener("error", () => (loading = false));

const source = new EventSource("news");
source.addEventListener("message", (event) => take(JSON.parse(event.data)));
source.addEventListener("end", () => {
  source.close();
  clearInterval(watch);
  byId("alarm").textContent = "The source has ended.";
});
const watch = setInterval(() => {
  const silent = performance.now() - heard;
  if (silent > SILENCE) byId("alarm").textContent = `Nothing new for ${Math.round(silent / 1000)} s.`;
  else if (byId("alarm").textContent.startsWith("Nothing new")) byId("alarm").textContent = "";
}, 1000);

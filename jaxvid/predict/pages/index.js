// The page over all videos of a call: its videos and its events.

const data = JSON.parse(document.getElementById("data").textContent);
const videos = data.videos.map((video) => {
  const events = video.events.map(([onset, offset, label, probability]) => (
    { onset, offset, class_name: data.classes[label], probability }
  ));
  return { ...video, events, labels: new Labels({ ...video, events }) };
});
const events = videos.flatMap((video) => video.events.map((event, position) => ({ ...event, video, position })));

const verdictOf = ({ video, position }) => video.labels.verdicts.get(position) ?? "open";

function link(text, href, key) {
  const made = element("a", { href }, element("bdi", {}, text));
  made.dataset.key = key;
  return made;
}

function open(href) {
  if (href) location.href = href;
}

const videoColumns = [
  { label: "Video", width: "auto", value: (video) => video.name,
    show: (video) => (video.href ? link(video.name, video.href, video.name) : element("bdi", {}, video.name)) },
  { label: "Length", width: "7rem", value: (video) => video.seconds,
    show: (video) => (video.seconds === null ? "–" : clock(video.seconds)) },
  { label: "Events", width: "5.5rem", value: (video) => (video.href ? video.events.length : null),
    show: (video) => (video.href ? String(video.events.length) : "–") },
  { label: "Highest", width: "6.5rem", value: (video) => video.highest,
    show: (video) => (video.highest === null ? "–" : percent(video.highest)) },
  { label: "Reviewed", width: "7rem", value: (video) => (video.events.length ? video.labels.verdicts.size : null),
    show: (video) => (video.events.length ? `${video.labels.verdicts.size} of ${video.events.length}` : "–") },
  { label: "Problems", width: "14rem", value: (video) => video.problems || null,
    show: (video) => element("span", { title: video.problems }, video.problems) },
];
const eventColumns = [
  { label: "Event in", width: "auto", value: (event) => event.video.name,
    show: (event) => link(event.video.name, address(event), `${event.video.name} ${event.position}`) },
  { label: "From", width: "7rem", value: (event) => event.onset, show: (event) => clock(event.onset) },
  { label: "Seconds", width: "6rem", value: (event) => event.offset - event.onset,
    show: (event) => (event.offset - event.onset).toFixed(1) },
  { label: "Class", width: "9rem", value: (event) => event.class_name },
  { label: "Highest", width: "6.5rem", value: (event) => event.probability,
    show: (event) => percent(event.probability) },
  { label: "Verdict", width: "7rem", value: verdictOf },
];

function address(event) {
  return `${event.video.href}#event=${event.position}`;
}

const byHighest = { sortBy: 3, descending: true };
const tables = [
  new LongTable(document.getElementById("videos"), "videos", videoColumns, videos,
    { ...byHighest, onChoose: (video) => open(video.href) }),
  new LongTable(document.getElementById("events"), "events", eventColumns, events,
    { sortBy: 4, descending: true, onChoose: (event) => open(address(event)) }),
];

document.querySelector('[data-action="download"]').addEventListener("click", () => {
  const begun = videos.filter((video) => video.labels.begun);
  document.getElementById("status").textContent = begun.length
    ? `Videos with labels: ${begun.length} of ${videos.length}`
    : "No video has labels yet: open one, and confirm or reject its events.";
  if (begun.length) downloadCsv("labels.csv", begun.flatMap((video) => video.labels.rows()));
});

// Back from the page of a video, labels may be others.
addEventListener("pageshow", () => {
  for (const video of videos) video.labels.load();
  for (const table of tables) table.draw();
});

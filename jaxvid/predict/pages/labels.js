// What a person says of the events of a video: kept by the browser, downloaded as CSV for `jaxvid.evaluate --labels`.

const LABEL_COLUMNS = ["video", "onset", "offset", "class", "probability", "verdict"];

class Labels {
  /** `video` is {name, key, events}; the events are {class_name, onset, offset, probability}. */
  constructor({ name, key, events }) {
    Object.assign(this, { name, events, key: `jaxvid:${key}`, kept: true });
    this.load();
  }

  /** Reads what the browser keeps: verdicts by the event's position, events that the network missed. */
  load() {
    let stored = {};
    try {
      stored = JSON.parse(localStorage.getItem(this.key)) ?? {};
    } catch {
      this.kept = false;
    }
    this.verdicts = new Map(stored.verdicts ?? []);
    this.added = stored.added ?? [];
    this.watched = Boolean(stored.watched);
  }

  save() {
    const { verdicts, added, watched } = this;
    try {
      localStorage.setItem(this.key, JSON.stringify({ verdicts: [...verdicts], added, watched }));
      this.kept = true;
    } catch {
      this.kept = false;
    }
  }

  /** Confirms or rejects an event; the same verdict again takes it back. */
  judge(position, verdict) {
    if (this.verdicts.get(position) === verdict) this.verdicts.delete(position);
    else this.verdicts.set(position, verdict);
    this.save();
  }

  add(event) {
    this.added.push(event);
    this.save();
  }

  remove(event) {
    this.added = this.added.filter((other) => other !== event);
    this.save();
  }

  setWatched(watched) {
    this.watched = watched;
    this.save();
  }

  /** Whether a person has said anything. */
  get begun() {
    return this.verdicts.size > 0 || this.added.length > 0 || this.watched;
  }

  count(verdict) {
    return [...this.verdicts.values()].filter((given) => given === verdict).length;
  }

  /** The rows of the CSV file: events, missed events, and the video alone if it was watched in full. */
  rows() {
    const times = (event) => [event.onset.toFixed(3), event.offset.toFixed(3), event.class_name];
    const found = this.events.map((event, position) => [
      this.name, ...times(event), event.probability.toFixed(6), this.verdicts.get(position) ?? "unreviewed",
    ]);
    const missed = this.added.map((event) => [this.name, ...times(event), "", "added"]);
    return [...found, ...missed, ...(this.watched ? [[this.name, "", "", "", "", "watched"]] : [])];
  }
}

function csvCell(value) {
  // Spreadsheets take a cell that begins so for a formula; evaluation takes the quote away again (jaxvid/tables.py).
  const text = /^'*[=+\-@\t\r]/.test(value) ? `'${value}` : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function downloadCsv(name, rows) {
  const text = [LABEL_COLUMNS, ...rows].map((row) => `${row.map(csvCell).join(",")}\r\n`).join("");
  const address = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  element("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 60000);
}

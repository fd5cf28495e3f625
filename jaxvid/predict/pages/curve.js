// The probabilities along a video, with its events above them, on one axis of time.

const EVENT_LANE = 16; // Pixels from the top in which events are marks; below it begins the plot.
const AXIS = 20; // Pixels at the bottom for the times.
const SEGMENT_LANE = 12; // Pixels above the axis in which the most probable class is shown, where there are segments.
const SHORTEST_VIEW = 2; // Seconds.
const STEPS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 43200, 86400];

/** Position of the last of rising numbers that is not above a value; 0 if all are. */
function positionAt(numbers, value) {
  let low = 0;
  let high = numbers.length;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (numbers[middle] <= value) low = middle;
    else high = middle;
  }
  return low;
}

class Curve {
  /** `onSeek(seconds)` is called for a place on the curve, `onChoose(event)` for the mark of an event. */
  constructor(root, data, { onSeek, onChoose }) {
    Object.assign(this, { root, data, onSeek, onChoose, events: [], chosen: null, verdictOf: () => undefined });
    this.whole = [data.edges[0], data.edges.at(-1)];
    this.view = [...this.whole];
    this.width = 0;
    this.canvas = element("canvas");
    this.head = element("div", { className: "playhead" });
    root.append(this.canvas, this.head);
    root.addEventListener("pointerdown", (event) => this.#press(event));
    root.addEventListener("pointermove", (event) => {
      if (this.scrubbing) onSeek(this.#time(event));
    });
    for (const kind of ["pointerup", "pointercancel"]) root.addEventListener(kind, () => (this.scrubbing = false));
    new ResizeObserver(() => this.draw()).observe(root);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  /** Moves the line of the present; where it has left the view, the view follows. */
  moveTo(seconds) {
    this.seconds = seconds;
    const [begin, end] = this.view;
    if (seconds < begin || seconds > end) this.#show(seconds - 0.1 * (end - begin), end - begin);
    this.head.style.left = `${this.#x(seconds)}px`;
  }

  /** Shows a stretch `factor` times as long, with the present in its middle. */
  zoom(factor) {
    const length = factor * (this.view[1] - this.view[0]);
    this.#show(this.seconds - length / 2, length);
    this.moveTo(this.seconds);
  }

  #show(begin, length) {
    const [first, last] = this.whole;
    const shown = Math.min(Math.max(length, SHORTEST_VIEW), last - first);
    const start = Math.min(Math.max(begin, first), last - shown);
    this.view = [start, start + shown];
    this.draw();
  }

  #x(seconds) {
    return ((seconds - this.view[0]) / (this.view[1] - this.view[0])) * this.width;
  }

  #time(event) {
    const share = (event.clientX - this.root.getBoundingClientRect().left) / this.root.clientWidth;
    const seconds = this.view[0] + share * (this.view[1] - this.view[0]);
    return Math.min(Math.max(seconds, this.view[0]), this.view[1]);
  }

  #press(event) {
    const box = this.root.getBoundingClientRect();
    const mark = event.clientY - box.top < EVENT_LANE ? this.#markAt(event.clientX - box.left) : undefined;
    if (mark) {
      this.onChoose(mark);
      return;
    }
    this.scrubbing = true;
    this.root.setPointerCapture(event.pointerId);
    this.onSeek(this.#time(event));
  }

  /** The event whose mark is at a place, or within three pixels of it. */
  #markAt(x) {
    const distance = ({ onset, offset }) => Math.max(this.#x(onset) - x, x - this.#x(offset), 0);
    const nearest = this.events.reduce((best, event) => (!best || distance(event) < distance(best) ? event : best), null);
    return nearest && distance(nearest) <= 3 ? nearest : undefined;
  }

  draw() {
    // Asked for once: a browser may lay out the page anew for every answer.
    const width = (this.width = this.root.clientWidth);
    const height = this.root.clientHeight;
    const scale = devicePixelRatio || 1;
    Object.assign(this.canvas, { width: width * scale, height: height * scale });
    const context = this.canvas.getContext("2d");
    context.scale(scale, scale);
    const style = getComputedStyle(this.root);
    const colors = {};
    this.color = (name) => (colors[name] ??= style.getPropertyValue(`--${name}`).trim());
    context.font = `12px ${style.fontFamily}`;
    const bottom = height - AXIS - (this.data.segments.length ? SEGMENT_LANE : 0);
    this.y = (probability) => bottom - probability * (bottom - EVENT_LANE - 4);
    this.#drawFlaws(context, bottom);
    this.#drawEvents(context, bottom);
    this.#drawGrid(context, width, height);
    this.data.curves.forEach((values, series) => this.#drawSteps(context, values, this.color(`series-${series % 8}`)));
    this.#drawSegments(context, bottom);
    this.head.style.left = `${this.#x(this.seconds ?? this.view[0])}px`;
  }

  #drawGrid(context, width, height) {
    context.lineWidth = 1;
    context.strokeStyle = this.color("line");
    context.fillStyle = this.color("muted");
    const length = this.view[1] - this.view[0];
    const step = STEPS.find((candidate) => (candidate / length) * width > 96) ?? STEPS.at(-1);
    for (let time = Math.ceil(this.view[0] / step) * step; time <= this.view[1]; time += step) {
      const x = this.#x(time);
      line(context, x, EVENT_LANE, x, height - AXIS + 4);
      const text = step < 1 ? clock(time) : clock(time).slice(0, -2);
      context.textAlign = x < 20 ? "left" : x > width - 20 ? "right" : "center";
      context.fillText(text, x, height - 4);
    }
    line(context, 0, this.y(0), width, this.y(0));
    context.setLineDash([4, 4]);
    context.strokeStyle = this.color("muted");
    context.textAlign = "left";
    for (const threshold of this.data.thresholds) {
      line(context, 0, this.y(threshold), width, this.y(threshold));
      context.fillText(`${Math.round(100 * threshold)} %`, 4, this.y(threshold) - 4);
    }
    context.setLineDash([]);
  }

  /** A curve of steps; of those narrower than a pixel, the highest and the lowest in each column. */
  #drawSteps(context, values, color) {
    const { edges } = this.data;
    context.strokeStyle = color;
    context.lineWidth = 1.6;
    context.lineJoin = "round";
    context.beginPath();
    let column = null;
    let low = 0;
    let high = 0;
    const flush = () => {
      if (column === null) return;
      context.lineTo(column, high);
      context.lineTo(column, low);
      column = null;
    };
    for (let i = positionAt(edges, this.view[0]); i < values.length && edges[i] < this.view[1]; i++) {
      const [left, right, y] = [this.#x(edges[i]), this.#x(edges[i + 1]), this.y(values[i])];
      if (right - left >= 1) {
        flush();
        context.lineTo(left, y);
        context.lineTo(right, y);
      } else if (Math.floor(left) === column) {
        low = Math.max(low, y);
        high = Math.min(high, y);
      } else {
        flush();
        [column, low, high] = [Math.floor(left), y, y];
      }
    }
    flush();
    context.stroke();
  }

  #drawEvents(context, bottom) {
    let drawnTo = -1;
    for (const event of this.events) {
      if (event.offset < this.view[0] || event.onset > this.view[1]) continue;
      const left = this.#x(event.onset);
      const width = Math.max(2, this.#x(event.offset) - left);
      // Of many events in one pixel, the first is drawn, and the chosen one.
      if (left + width < drawnTo + 1 && event !== this.chosen) continue;
      drawnTo = Math.max(drawnTo, left + width);
      const verdict = this.verdictOf(event);
      const color = this.color(event.series === null ? "muted" : `series-${event.series % 8}`);
      context.fillStyle = context.strokeStyle = event === this.chosen ? this.color("ink") : color;
      context.globalAlpha = event === this.chosen ? 0.16 : 0.1;
      context.fillRect(left, EVENT_LANE, width, bottom - EVENT_LANE);
      context.globalAlpha = 1;
      context.lineWidth = 1;
      // Confirmed events are filled, rejected ones a line, others an outline.
      if (verdict === "rejected") context.fillRect(left, EVENT_LANE / 2, width, 1);
      else if (verdict) context.fillRect(left, 2, width, EVENT_LANE - 4);
      else context.strokeRect(left + 0.5, 2.5, Math.max(1, width - 1), EVENT_LANE - 5);
    }
  }

  #drawFlaws(context, bottom) {
    context.fillStyle = this.color("caution-line");
    for (const { begin, end } of this.data.flaws) {
      context.fillRect(this.#x(begin), bottom - 3, Math.max(3, this.#x(end) - this.#x(begin)), 3);
    }
  }

  #drawSegments(context, bottom) {
    for (const { start, end, series } of this.data.segments) {
      context.fillStyle = this.color(series === null ? "line" : `series-${series % 8}`);
      context.fillRect(this.#x(start), bottom + 3, this.#x(end) - this.#x(start), SEGMENT_LANE - 4);
    }
  }
}

function line(context, fromX, fromY, toX, toY) {
  context.beginPath();
  context.moveTo(fromX, fromY);
  context.lineTo(toX, toY);
  context.stroke();
}

// A table of any length that is sorted and searched: only the rows in sight are elements of the page.

const ROW_HEIGHT = 38; // Pixels, as in style.css.
const ROWS_OUT_OF_SIGHT = 8;
const collator = new Intl.Collator(undefined, { numeric: true });

/** Creates an element with properties and children; strings become texts, never HTML. */
function element(tag, properties = {}, ...children) {
  const created = Object.assign(document.createElement(tag), properties);
  created.append(...children);
  return created;
}

/** Formats seconds as 0:04.1, or 1:00:04.1 from an hour on. */
function clock(seconds) {
  const tenths = Math.round(seconds * 10);
  const minutes = Math.floor(tenths / 600) % 60;
  const hours = Math.floor(tenths / 36000);
  const rest = ((tenths % 600) / 10).toFixed(1).padStart(4, "0");
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
}

function percent(probability) {
  return `${(100 * probability).toFixed(1)} %`;
}

class LongTable {
  /**
   * Columns are {label, width, value, show}: rows are sorted and searched by `value(row)`, a number, a string or null;
   * `show(row)` is a node or string. `onChoose` is called with a row that is clicked.
   */
  constructor(root, label, columns, rows, { sortBy = 0, descending = false, onChoose = () => {} } = {}) {
    Object.assign(this, { label, columns, sortBy, descending, onChoose, chosen: null });
    this.search = element("input", { type: "search", placeholder: "Search", ariaLabel: `Search ${label}` });
    this.count = element("span", { className: "muted", role: "status" });
    this.heads = columns.map((column, position) => this.#head(column, position));
    this.body = element("tbody");
    this.table = element("table", {}, element("thead", {}, element("tr", {}, ...this.heads)), this.body);
    this.scroller = element("div", { className: "scroll rows", role: "region", ariaLabel: label, tabIndex: 0 }, this.table);
    root.replaceChildren(element("div", { className: "bar" }, this.search, this.count), this.scroller);
    this.search.addEventListener("input", () => this.#arrange());
    this.scroller.addEventListener("scroll", () => this.draw());
    new ResizeObserver(() => this.draw()).observe(this.scroller);
    this.setRows(rows);
  }

  setRows(rows) {
    this.rows = rows;
    this.#arrange();
  }

  /** Marks a row (or none) and brings it into sight. */
  choose(row) {
    this.chosen = row;
    const position = this.shown.indexOf(row);
    const top = position * ROW_HEIGHT;
    const height = this.scroller.clientHeight - 2 * ROW_HEIGHT;
    if (position >= 0 && (top < this.scroller.scrollTop || top > this.scroller.scrollTop + height)) {
      this.scroller.scrollTop = top - height / 2;
    }
    this.draw();
  }

  /** Draws the rows in sight; the focus stays where it is. */
  draw() {
    const first = Math.max(0, Math.floor(this.scroller.scrollTop / ROW_HEIGHT) - ROWS_OUT_OF_SIGHT);
    const last = first + Math.ceil(this.scroller.clientHeight / ROW_HEIGHT) + 2 * ROWS_OUT_OF_SIGHT;
    const inSight = this.shown.slice(first, last);
    const focused = this.body.contains(document.activeElement) ? document.activeElement.dataset.key : null;
    this.body.replaceChildren(
      this.#space(first),
      ...inSight.map((row, position) => this.#row(row, first + position)),
      this.#space(this.shown.length - first - inSight.length),
    );
    if (focused) this.body.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
  }

  #head(column, position) {
    const button = element("button", { type: "button", textContent: column.label });
    button.addEventListener("click", () => {
      this.descending = this.sortBy === position ? !this.descending : false;
      this.sortBy = position;
      this.#arrange();
    });
    const head = element("th", { scope: "col" }, button);
    head.style.width = column.width;
    return head;
  }

  #arrange() {
    const words = this.search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const text = (row) => this.columns.map((column) => column.value(row) ?? "").join(" ").toLowerCase();
    this.shown = this.rows.filter((row) => !words.length || words.every((word) => text(row).includes(word)));
    const { value } = this.columns[this.sortBy];
    this.shown.sort((one, other) => this.#order(value(one), value(other)));
    this.heads.forEach((head, position) => {
      head.ariaSort = position !== this.sortBy ? "none" : this.descending ? "descending" : "ascending";
    });
    const total = this.rows.length.toLocaleString("en");
    this.count.textContent = words.length ? `${this.shown.length.toLocaleString("en")} of ${total}` : total;
    this.table.ariaRowCount = this.shown.length + 1;
    this.scroller.scrollTop = 0;
    this.draw();
  }

  #order(one, other) {
    // Missing values come last, whatever the order.
    if (one === null || other === null) return (one === null) - (other === null);
    const order = typeof one === "number" ? one - other : collator.compare(one, other);
    return this.descending ? -order : order;
  }

  #row(row, position) {
    const cells = this.columns.map((column) => element("td", {}, column.show ? column.show(row) : column.value(row) ?? ""));
    const drawn = element("tr", { ariaRowIndex: position + 2, ariaCurrent: row === this.chosen ? "true" : null }, ...cells);
    drawn.addEventListener("click", (event) => {
      if (!event.target.closest("a, button")) this.onChoose(row);
    });
    return drawn;
  }

  #space(rows) {
    const space = element("tr", { ariaHidden: "true" }, element("td", { colSpan: this.columns.length, className: "space" }));
    space.hidden = rows <= 0;
    space.firstChild.style.height = `${rows * ROW_HEIGHT}px`;
    return space;
  }
}

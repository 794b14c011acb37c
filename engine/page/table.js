// The table: sorted, filtered, and no more rows in the page than can be seen.

const ROW_HEIGHT = 28; // px, as in page.css
const FIRST_COLUMNS = {
  lobes: ["label", "set", "lobe", "equivalent_diameter_area", "area", "circularity", "aspect_ratio", "feret_diameter_max", "centroid-0", "centroid-1"],
  sets: ["set", "lobes", "kind", "equivalent_diameter_area", "area", "distance", "diameter_large", "diameter_small", "diameter_a", "diameter_b",
    "diameter_c", "angle_max", "confidence"],
};

class Rows {
  /** ``on``: hover(particle, row) and choose, toggle(particle) are called. */
  constructor(place, definitions, on) {
    Object.assign(this, { place, definitions, on, kind: "lobes", all: false, sort: { name: null, down: false }, filter: {}, chosen: -1, at: -1 });
    place.innerHTML = '<div class="inner"><div class="head" role="row"></div><div class="body"></div></div>';
    [this.inner, this.head, this.body] = [".inner", ".head", ".body"].map((name) => place.querySelector(name));
    place.addEventListener("scroll", () => this.drawRows(false));
    new ResizeObserver(() => this.drawRows(false)).observe(place);
    this.head.addEventListener("click", (event) => this.sortBy(event.target.closest("[data-name]")?.dataset.name));
    const particleAt = (event) => {
      const row = event.target.closest(".row");
      return row ? this.particle(Number(row.dataset.row)) : -1;
    };
    this.body.addEventListener("pointermove", (event) => on.hover(particleAt(event)));
    this.body.addEventListener("pointerleave", () => on.hover(-1));
    this.body.addEventListener("click", (event) => {
      if (event.target.closest("[data-toggle]")) on.toggle(particleAt(event));
      else on.choose(particleAt(event));
    });
    place.addEventListener("keydown", (event) => this.key(event));
  }

  get table() { return this.image[this.kind]; }
  particle(row) { return this.kind === "sets" ? row : this.image.particleOf[row]; }

  columns() {
    const { table } = this;
    if (this.all) return table.names.filter((name) => name !== "excluded_by");
    // Where the scale is known lengths are shown in nm, px being in the file and among all columns.
    const names = FIRST_COLUMNS[this.kind].map((name) => table.scaled(name)).filter((name) => table.has(name));
    return names.filter((name) => table.rows.length === 0 || table.rows.some((row) => row[table.index.get(name)] !== ""));
  }

  open(image) {
    this.image = image;
    this.chosen = this.at = -1;
    this.rebuild();
  }

  rebuild() {
    const { table } = this, names = (this.shown = this.columns());
    const arrow = (name) => (name === this.sort.name ? (this.sort.down ? " ▼" : " ▲") : "");
    const cells = [["state", "State", "click a state to exclude or restore"], ...names.map((name) => [name, name, this.definitions[this.kind][name] ?? ""])];
    const titles = cells.map(([name, title]) => `${title}${table.units[name] && !/_nm2?$/.test(name) ? ` [${table.units[name]}]` : ""}`);
    const widths = titles.map((title, i) => Math.max(i ? 76 : 100, 30 + 7 * title.length));
    this.inner.style.setProperty("--columns", widths.map((width) => `minmax(${width}px, ${width}fr)`).join(" "));
    this.head.replaceChildren(...cells.map(([name, , tip], i) => {
      const cell = document.createElement("button");
      cell.type = "button";
      cell.tabIndex = -1;
      cell.dataset.name = name;
      cell.title = tip;
      cell.setAttribute("role", "columnheader");
      cell.setAttribute("aria-sort", name === this.sort.name ? (this.sort.down ? "descending" : "ascending") : "none");
      if (table.isNumeric(name)) cell.className = "number";
      cell.textContent = `${titles[i]}${arrow(name)}`;
      return cell;
    }));
    this.refilter();
  }

  sortBy(name) {
    if (!name) return;
    this.sort = { name, down: this.sort.name === name ? !this.sort.down : false };
    this.rebuild();
  }

  refilter() {
    const { image, kind, table, filter, sort } = this;
    const keep = (row) => {
      if (filter.group && image.group(kind, row) !== filter.group) return false;
      if (filter.state && (filter.state === "counts") !== image.counts(kind, row)) return false;
      if (!filter.column || !table.has(filter.column)) return true;
      const value = table.numbers(filter.column)[row];
      return !(value < filter.low) && !(value > filter.high) && !(Number.isNaN(value) && (filter.low !== undefined || filter.high !== undefined));
    };
    const rows = Array.from({ length: table.length }, (_, row) => row).filter(keep);
    const { name } = sort;
    if (name === "state" || table.has(name)) {
      const isText = name === "state" || !table.isNumeric(name) && !["set", "label"].includes(name);
      const value = name === "state" ? (row) => this.state(row) : isText ? (row) => table.text(row, name) : (row) => table.numbers(name)[row];
      const sign = sort.down ? -1 : 1;
      rows.sort((one, other) => {
        const a = value(one), b = value(other);
        if (!isText && (Number.isNaN(a) || Number.isNaN(b))) return Number.isNaN(a) - Number.isNaN(b); // undefined ones last
        return sign * (a < b ? -1 : a > b ? 1 : 0);
      });
    }
    this.rows = rows;
    this.inner.style.height = `${(rows.length + 1) * ROW_HEIGHT}px`;
    this.place.setAttribute("aria-rowcount", rows.length + 1);
    const isFilter = Boolean(filter.group || filter.state || filter.low !== undefined || filter.high !== undefined);
    this.on.filtered(rows, table.length, isFilter);
    this.drawRows();
  }

  /** Why a row is not in the statistics; "" where it is. */
  state(row) {
    return this.image.excludedBy(this.kind, row) || (this.image.atEdge(this.kind, row) ? "edge" : "");
  }

  /** Draw the rows in sight; where nothing but the sight has changed (``!anew``) only if it is others. */
  drawRows(anew = true) {
    if (!this.rows) return;
    const first = Math.max(0, Math.floor(this.place.scrollTop / ROW_HEIGHT) - 4);
    const last = Math.min(this.rows.length, first + Math.ceil(this.place.clientHeight / ROW_HEIGHT) + 8);
    if (!anew && first === this.first && last === this.last) return;
    Object.assign(this, { first, last });
    const { table } = this, indices = this.shown.map((name) => table.index.get(name));
    const numeric = this.shown.map((name) => table.isNumeric(name));
    const drawn = [];
    for (let i = first; i < last; i++) {
      const row = this.rows[i], state = this.state(row), particle = this.particle(row);
      const line = document.createElement("div");
      line.className = `row${particle === this.chosen ? " chosen" : ""}${particle === this.at ? " at" : ""}${state ? " out" : ""}`;
      line.dataset.row = row;
      line.setAttribute("role", "row");
      line.setAttribute("aria-rowindex", i + 2);
      line.setAttribute("aria-selected", particle === this.chosen);
      line.style.transform = `translateY(${(i + 1) * ROW_HEIGHT}px)`;
      const cell = document.createElement("span");
      cell.setAttribute("role", "gridcell");
      cell.dataset.toggle = "";
      cell.className = `state ${state || "in"}`;
      cell.textContent = state || "counts";
      line.append(cell);
      indices.forEach((column, at) => {
        const cell = document.createElement("span"), text = table.rows[row][column];
        cell.setAttribute("role", "gridcell");
        cell.textContent = text === "" ? "–" : numeric[at] ? shown(Number(text)) : text;
        if (numeric[at]) cell.className = "number";
        line.append(cell);
      });
      drawn.push(line);
    }
    this.body.replaceChildren(...drawn);
  }

  /** Draw a particle's rows anew, if they are in sight. */
  drawParticle(particle) {
    if ([...this.body.children].some((line) => this.particle(Number(line.dataset.row)) === particle)) this.drawRows();
  }

  /** Mark a particle's rows, and bring the first into sight where asked. */
  choose(particle, move) {
    this.chosen = particle;
    const at = particle < 0 ? -1 : this.rows.findIndex((row) => this.particle(row) === particle);
    if (move && at >= 0) {
      const top = at * ROW_HEIGHT, { scrollTop, clientHeight } = this.place;
      if (top < scrollTop || top > scrollTop + clientHeight - 2 * ROW_HEIGHT) this.place.scrollTop = top - clientHeight / 2;
    }
    for (const line of this.body.children) {
      const isChosen = particle >= 0 && this.particle(Number(line.dataset.row)) === particle;
      line.classList.toggle("chosen", isChosen);
      line.setAttribute("aria-selected", isChosen);
    }
    if (move) this.drawRows(false);
  }

  hover(particle) {
    this.at = particle;
    for (const line of this.body.children) line.classList.toggle("at", particle >= 0 && this.particle(Number(line.dataset.row)) === particle);
  }

  key(event) {
    if (!["ArrowDown", "ArrowUp", "Enter", " ", "x", "X", "Home", "End"].includes(event.key) || !this.rows.length) return;
    if (event.target !== this.place || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    if (["Enter", " ", "x", "X"].includes(event.key)) {
      if (this.chosen >= 0) this.on.toggle(this.chosen);
      return;
    }
    const at = this.rows.findIndex((row) => this.particle(row) === this.chosen), end = this.rows.length - 1;
    const moves = { ArrowDown: Math.min(end, at + 1), ArrowUp: Math.max(0, at - 1), Home: 0, End: end };
    let next = moves[event.key];
    // Rows of one particle lie together or not; go on to the next particle.
    while (event.key === "ArrowDown" && next < end && this.particle(this.rows[next]) === this.chosen) next++;
    this.on.choose(this.particle(this.rows[next]));
  }
}

// The histogram (uPlot) and the table of statistics.

const STATISTICS = [["n", "n"], ["mean", "Mean"], ["sd", "SD"], ["cv", "CV"], ["d10", "D10"], ["d50", "Median (D50)"], ["d90", "D90"]];
const GROUP_ORDER = ["sphere", "large", "small", "a", "b", "c", "dumbbell", "trimer", "chain"];
const NOT_MEASURES = new Set(["label", "set", "lobe", "kind", "lobes", "excluded_by", "touches_edge"]);

/** Distinct groups in an order that people expect: roles, then letters, "no set" last. */
function ordered(groups) {
  const rank = (group) => (group === "no set" ? 1e6 : GROUP_ORDER.indexOf(group) >= 0 ? GROUP_ORDER.indexOf(group) : 1000);
  return [...new Set(groups)].sort((one, other) => rank(one) - rank(other) || one.length - other.length || (one < other ? -1 : 1));
}

/** What is counted: of which rows, which quantity, over which micrographs. */
function collect(images, kind, quantity, scaled) {
  const values = new Map(), out = { user: 0, filter: 0, edge: 0, lacking: 0, undefined: 0 };
  for (const image of images) {
    const table = image[kind];
    const name = scaled && table.has(`${quantity}_nm`) ? `${quantity}_nm` : scaled && table.has(`${quantity}_nm2`) ? `${quantity}_nm2` : quantity;
    if (!table.has(name)) { out.lacking++; continue; }
    const column = table.numbers(name);
    for (let row = 0; row < table.length; row++) {
      const excluded = image.excludedBy(kind, row);
      if (excluded) out[excluded === USER ? "user" : "filter"]++;
      else if (image.touchesEdge(kind, row)) out.edge++;
      else if (!Number.isNaN(column[row])) {
        const group = image.group(kind, row);
        if (values.has(group)) values.get(group).push(column[row]);
        else values.set(group, [column[row]]);
      }
    }
  }
  const groups = ordered(values.keys());
  return { groups, values: groups.map((group) => values.get(group)), out };
}

/** A colour as it stands in the page's style. */
const styled = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

class Histogram {
  constructor(place) {
    this.place = place;
    this.chart = null;
    this.marked = NaN;
    new ResizeObserver(() => this.chart?.setSize(this.size())).observe(place);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.rebuild());
  }

  size() { return { width: Math.max(240, this.place.clientWidth), height: 260 }; }

  /** Show the values of each group in equal bins. */
  show(groups, values, bins, title) {
    let low = Infinity, high = -Infinity;
    for (const of of values) for (const value of of) { low = Math.min(low, value); high = Math.max(high, value); }
    this.edges = low <= high ? binEdges(low, high, bins) : new Float64Array([0, 1]);
    this.counts = values.map((of) => countBins(of, this.edges));
    const data = [this.edges, ...this.counts.map((counts) => [...counts, 0])];
    const key = JSON.stringify([groups, title]);
    if (this.chart && key === this.key) return this.chart.setData(data);
    [this.key, this.groups, this.title, this.data] = [key, groups, title, data];
    return this.rebuild();
  }

  rebuild() {
    if (!this.data) return;
    this.chart?.destroy();
    const ink = styled("--ink"), line = styled("--line"), font = "12px system-ui, sans-serif";
    const axis = { stroke: ink, font, labelFont: font, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 } };
    const stepped = uPlot.paths.stepped({ align: 1 });
    this.chart = new uPlot({
      ...this.size(),
      legend: { show: true, live: true, markers: { width: 2 } },
      cursor: { y: false, points: { show: false }, drag: { x: false, y: false } },
      scales: { x: { time: false, range: (_, low, high) => [low - (high - low) * 0.02, high + (high - low) * 0.02] },
        y: { range: (_, __, high) => [0, Math.max(1, high * 1.08)] } },
      axes: [{ ...axis, label: this.title, size: 40, labelSize: 22 }, { ...axis, label: "Number", size: 48, labelSize: 22,
        incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 1e4, 2e4, 5e4, 1e5] }],
      series: [{ label: "Bin", value: (_, __, ___, i) => this.binText(i) }, ...this.groups.map((group, i) => ({
        label: group, stroke: chartColour(group), width: 2, fill: `${chartColour(group)}33`, paths: stepped, points: { show: false },
        dash: i % 2 ? [6, 2] : undefined, value: (_, value) => (value === null ? "–" : shown(value)),
      }))],
      hooks: { draw: [(chart) => this.drawMark(chart)] },
    }, this.data, this.place);
  }

  binText(i) {
    if (i === null || i === undefined || i >= this.edges.length - 1) return "–";
    return `${shown(this.edges[i])} – ${shown(this.edges[i + 1])}`;
  }

  /** Mark the value of what the pointer is at. */
  mark(value) {
    if (value === this.marked || (Number.isNaN(value) && Number.isNaN(this.marked))) return;
    this.marked = value;
    this.chart?.redraw(false);
  }

  drawMark(chart) {
    if (Number.isNaN(this.marked)) return;
    const x = chart.valToPos(this.marked, "x", true), { left, top, width, height } = chart.bbox;
    if (!(x >= left && x <= left + width)) return;
    chart.ctx.save();
    chart.ctx.strokeStyle = styled("--accent");
    chart.ctx.lineWidth = 2 * devicePixelRatio;
    chart.ctx.beginPath();
    chart.ctx.moveTo(x, top);
    chart.ctx.lineTo(x, top + height);
    chart.ctx.stroke();
    chart.ctx.restore();
  }
}

/** Okabe and Ito's palette as it shows on a page, dark or light. */
function chartColour(group) {
  const names = { sphere: "blue", large: "orange", small: "sky", a: "pink", b: "green", c: "amber", dumbbell: "orange", trimer: "green", chain: "pink" };
  return styled(`--${names[group] ?? (group === "no set" ? "grey" : "pink")}`);
}

/** The rows of the table of statistics: one a group, and all together where there are several. */
function fillStatistics(table, groups, values, unit) {
  const rows = groups.map((group, i) => [group, describe(values[i])]);
  if (groups.length > 1) rows.push(["all", describe(values.flat())]);
  const cell = (name, statistics) => {
    const value = statistics[name];
    return name === "cv" ? (Number.isNaN(value) ? "–" : `${(100 * value).toFixed(1)} %`) : shown(value);
  };
  const head = STATISTICS.map(([, title]) => `<th scope="col">${title}</th>`);
  table.innerHTML = `<thead><tr><th scope="col"></th>${head.join("")}</tr></thead><tbody></tbody>`;
  table.createCaption().textContent = unit ? `All but n and CV in ${unit}` : "";
  for (const [group, statistics] of rows) {
    const row = table.tBodies[0].insertRow();
    row.dataset.group = group;
    const title = document.createElement("th");
    title.scope = "row";
    title.textContent = group;
    title.style.setProperty("--swatch", group === "all" ? "transparent" : chartColour(group));
    row.append(title);
    for (const [name] of STATISTICS) {
      const data = row.insertCell();
      data.textContent = cell(name, statistics);
      data.dataset.statistic = name;
      data.dataset.value = statistics[name];
    }
  }
}

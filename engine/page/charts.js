// The histogram (uPlot) and the table of statistics.

const STATISTICS = [["n", "n"], ["mean", "Mean"], ["sd", "SD"], ["cv", "CV"], ["d10", "D10"], ["d50", "D50"], ["d90", "D90"]];
const MEANINGS = { n: "lobes or sets with a value", cv: "SD / mean", d50: "median", density: "with edge weights, as all others but n" };
const NOT_MEASURES = new Set(["label", "set", "lobe", "kind", "lobes", "excluded_by", "touches_edge", "edge_weight"]);

/** A colour as it stands in the page's style. */
const styled = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

class Histogram {
  /** ``pick``(low, high) is called where a bin is clicked. */
  constructor(place, pick) {
    Object.assign(this, { place, pick });
    this.chart = null;
    this.marked = NaN;
    new ResizeObserver(() => this.chart?.setSize(this.size())).observe(place);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.rebuild());
  }

  size() { return { width: Math.max(240, this.place.clientWidth), height: 260 }; }

  /** Show populations in equal bins: their number, or the share of the weight of all, %. */
  show(populations, bins, title, byWeight) {
    let low = Infinity, high = -Infinity, total = 0;
    for (const { x, weight } of populations) {
      for (let i = 0; i < x.length; i++) { low = Math.min(low, x[i]); high = Math.max(high, x[i]); total += weight[i]; }
    }
    this.edges = low <= high ? binEdges(low, high, bins) : new Float64Array([0, 1]);
    const shares = (weight) => weight.map((value) => (100 * value) / total);
    this.counts = populations.map(({ x, weight }) => fillBins(x, this.edges, byWeight && shares(weight)));
    this.data = [this.edges, ...this.counts.map((counts) => [...counts, 0])];
    const groups = populations.map(({ name }) => name), key = JSON.stringify([groups, title, byWeight]);
    if (this.chart && key === this.key) return this.chart.setData(this.data);
    Object.assign(this, { key, groups, title, byWeight });
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
      cursor: { y: false, points: { show: false }, drag: { x: false, y: false }, dataIdx: (_, __, nearest, x) => this.binOf(x) ?? nearest },
      scales: { x: { time: false, range: (_, low, high) => [low - (high - low) * 0.02, high + (high - low) * 0.02] },
        y: { range: (_, __, high) => [0, Math.max(1, high * 1.08)] } },
      axes: [{ ...axis, label: this.title, size: 40, labelSize: 22 }, { ...axis, label: this.byWeight ? "Share, %" : "Number", size: 48, labelSize: 22,
        incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 1e4, 2e4, 5e4, 1e5] }],
      series: [{ label: "Bin", value: (_, __, ___, i) => this.binText(i) }, ...this.groups.map((group, i) => ({
        label: group, stroke: styled(colourName(group)), width: 2, fill: `${styled(colourName(group))}33`, paths: stepped, points: { show: false },
        dash: i % 2 ? [6, 2] : undefined, value: (_, value) => (value === null ? "–" : shown(value)),
      }))],
      hooks: { draw: [(chart) => this.drawMark(chart)], ready: [(chart) => chart.over.addEventListener("click", (event) => {
        const bin = this.binOf(chart.posToVal(event.offsetX, "x"));
        if (bin !== undefined) this.pick(this.edges[bin], this.edges[bin + 1]);
      })] },
    }, this.data, this.place);
  }

  /** The bin that holds a value, undefined where none does. */
  binOf(x) {
    const bin = this.edges.findIndex((edge) => edge > x) - 1;
    return bin >= 0 ? bin : undefined;
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
    chart.ctx.setLineDash([]);
    chart.ctx.beginPath();
    chart.ctx.moveTo(x, top);
    chart.ctx.lineTo(x, top + height);
    chart.ctx.stroke();
    chart.ctx.restore();
  }
}

/** A group's colour as it shows on a page, dark or light: Okabe and Ito's hues. */
const GROUP_COLOURS = {
  sphere: "blue", "dumbbell large": "orange", "dumbbell small": "sky", "trimer a": "pink", "trimer b": "green", "trimer c": "amber",
  dumbbell: "orange", trimer: "green", chain: "violet",
};
const colourName = (group) => `--${GROUP_COLOURS[group] ?? "grey"}`;

/** The table of statistics: one row a group, and all together where there are several. */
function fillStatistics(table, { groups, all, area }, unit, areaUnit) {
  const populations = groups.length > 1 || !groups.length ? [...groups, all] : groups;
  const columns = [...STATISTICS, ["density", `per ${areaUnit}`]];
  const key = JSON.stringify([populations.map(({ name }) => name), unit, areaUnit]);
  if (table.dataset.key !== key) buildStatistics(table, populations, columns, unit);
  table.dataset.key = key;
  const texts = { n: shown, cv: (value) => (Number.isNaN(value) ? "–" : `${(100 * value).toFixed(1)} %`) };
  populations.forEach(({ x, weight, total }, i) => {
    const statistics = { ...describe(x, weight), density: total / area }, { cells } = table.tBodies[0].rows[i];
    columns.forEach(([name], j) => {
      cells[j + 1].textContent = (texts[name] ?? shown)(statistics[name]);
      cells[j + 1].dataset.value = statistics[name];
    });
  });
}

function buildStatistics(table, populations, columns, unit) {
  const head = columns.map(([name, title]) => `<th scope="col" title="${MEANINGS[name] ?? ""}">${title}</th>`);
  table.innerHTML = `<thead><tr><th scope="col">${unit ? `in ${unit}` : ""}</th>${head.join("")}</tr></thead><tbody></tbody>`;
  for (const { name } of populations) {
    const row = table.tBodies[0].insertRow(), title = element("th", name);
    row.dataset.group = name;
    title.scope = "row";
    title.style.setProperty("--swatch", name === "all" ? "transparent" : `var(${colourName(name)})`);
    row.append(title);
    for (const [statistic] of columns) row.insertCell().dataset.statistic = statistic;
  }
}

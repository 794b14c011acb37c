// The statistics of the engine (distribution.py, sample.py) over what counts as things stand on the page.

const WEIGHTINGS = { number: 0, area: 2, volume: 3 }; // powers of the diameter, ISO 9276-2
/** Of lobes these are weighted by area and volume too, as those of spheres. */
const DIAMETERS = new Set(["equivalent_diameter_area", "equivalent_diameter_area_subpixel"]);
const KINDS = ["sphere", "dumbbell", "trimer", "chain"];

/** Values of lobes or sets that count, with the weight of each. */
class Population {
  constructor(name) { Object.assign(this, { name, x: [], weight: [], total: 0, isDefined: false }); }
  add(x, weight) {
    this.total += weight; // the number per area is of all, whatever is measured of them
    if (Number.isNaN(x)) return;
    this.x.push(x);
    this.weight.push(weight);
  }
  /** Weighted by a power of the diameter too. */
  by(power) {
    if (power) this.weight = this.weight.map((weight, i) => weight * this.x[i] ** power);
    return this;
  }
}

/** What is counted of a quantity over micrographs: all, and by kind and role; and what is not counted, and why.
 *
 * A lobe of a role stands for its set, so there it counts where the set does, and as much.
 */
function collect(images, kind, quantity, scaled, power) {
  const all = new Population("all"), groups = new Map(), out = { user: 0, filter: 0, edge: 0 };
  let area = 0, covered = 0, pixels = 0;
  for (const image of images) {
    const table = image[kind], name = scaled ? table.scaled(quantity) : quantity;
    const column = table.has(name) ? table.numbers(name) : null;
    pixels += image.countedArea;
    area += image.countedArea * (scaled ? (image.pixelSize / 1000) ** 2 : 1);
    for (let row = 0; row < table.length; row++) {
      const group = image.group(kind, row), x = column ? column[row] : NaN;
      if (!groups.has(group)) groups.set(group, new Population(group));
      const population = groups.get(group), excluded = image.excludedBy(kind, row);
      population.isDefined ||= !Number.isNaN(x);
      if (excluded) { out[excluded === USER ? "user" : "filter"]++; continue; }
      const weight = image.weight(kind, row), ofSet = kind === "lobes" ? image.weightOfSet(row) : weight;
      if (weight > 0) all.add(x, weight);
      else out.edge++;
      if (ofSet > 0) population.add(x, ofSet);
    }
    for (let lobe = 0; lobe < image.lobes.length; lobe++) {
      if (!image.excludedBy("lobes", lobe)) covered += image.lobes.numbers("area")[lobe];
    }
  }
  const found = ordered(groups.keys()).map((name) => groups.get(name)).filter((group) => group.isDefined);
  return { all: all.by(power), groups: found.map((group) => group.by(power)), out, area, covered: covered / pixels };
}

/** Distinct groups in an order that people expect: kinds, then roles, "no set" last. */
function ordered(groups) {
  const place = (group) => {
    const at = KINDS.indexOf(group.split(" ")[0]);
    return at >= 0 ? at : KINDS.length + Number(group === "no set");
  };
  return [...new Set(groups)].sort((one, other) => place(one) - place(other) || (one < other ? -1 : 1));
}

/** What describes weighted values: unbiased variance with reliability weights. */
function describe(x, weight = new Array(x.length).fill(1)) {
  let sum = 0, squares = 0, first = 0, second = 0;
  for (let i = 0; i < x.length; i++) { sum += weight[i]; squares += weight[i] ** 2; first += weight[i] * x[i]; }
  const mean = first / sum, left = sum - squares / sum;
  for (let i = 0; i < x.length; i++) second += weight[i] * (x[i] - mean) ** 2;
  const sd = x.length > 1 && left > 0 ? Math.sqrt(second / left) : NaN;
  const [d10, d50, d90] = quantiles(x, weight, [0.1, 0.5, 0.9]);
  return { n: x.length, mean, sd, cv: sd / Math.abs(mean), d10, d50, d90 };
}

/** Weighted quantiles: the distribution function rises by half a weight up to each value and half behind it. */
function quantiles(x, weight, at) {
  if (!x.length) return at.map(() => NaN);
  const order = Uint32Array.from(x, (_, i) => i).sort((a, b) => x[a] - x[b]);
  const function_ = new Float64Array(x.length);
  let behind = 0;
  order.forEach((i, rank) => { behind += weight[i]; function_[rank] = behind - weight[i] / 2; });
  return at.map((share) => {
    const sought = share * behind, above = function_.findIndex((value) => value >= sought);
    if (above === 0) return x[order[0]];
    if (above < 0) return x[order[x.length - 1]];
    const [low, high] = [x[order[above - 1]], x[order[above]]];
    return low + ((sought - function_[above - 1]) / (function_[above] - function_[above - 1])) * (high - low);
  });
}

/** Number of bins by Freedman and Diaconis, 3 … 80. */
function autoBins(x) {
  if (x.length < 2) return 3;
  const [low, q1, q3, high] = quantiles(x, new Array(x.length).fill(1), [0, 0.25, 0.75, 1]);
  const width = (2 * (q3 - q1)) / Math.cbrt(x.length);
  return width > 0 ? Math.min(80, Math.max(3, Math.ceil((high - low) / width))) : 3;
}

/** Edges of equal bins that hold all values. */
function binEdges(low, high, bins) {
  if (!(high > low)) { const half = Math.abs(low) / 100 || 0.5; low -= half; high += half; }
  const width = (high - low) / bins;
  return Float64Array.from({ length: bins + 1 }, (_, i) => (i === bins ? high : low + i * width));
}

/** What each bin holds of the weight, a number where there is none: low ≤ x < high, the last bin with its end. */
function fillBins(x, edges, weight) {
  const bins = edges.length - 1, held = new Float64Array(bins), scale = bins / (edges[bins] - edges[0]);
  for (let i = 0; i < x.length; i++) {
    let bin = Math.max(0, Math.min(bins - 1, Math.floor((x[i] - edges[0]) * scale)));
    if (x[i] < edges[bin]) bin--;
    else if (bin < bins - 1 && x[i] >= edges[bin + 1]) bin++;
    held[bin] += weight ? weight[i] : 1;
  }
  return held;
}

/** A number as people read it: four significant digits, no exponent where there need be none. */
function shown(value, digits = 4) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (Number.isInteger(value) && Math.abs(value) < 1e15) return value.toLocaleString("en").replaceAll(",", "\u202f");
  const text = Number(value.toPrecision(digits));
  return Math.abs(text) >= 1e6 || (text !== 0 && Math.abs(text) < 1e-4) ? value.toExponential(digits - 1) : String(text);
}

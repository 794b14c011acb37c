// The statistics that the engine writes, over what counts as things stand on the page.

/** Values and what describes them; NaN are left out. SD with N − 1; quantiles linear between the two nearest ranks. */
function describe(values) {
  const sorted = Float64Array.from(values.filter((value) => !Number.isNaN(value))).sort();
  const n = sorted.length;
  const mean = n ? sorted.reduce((sum, value) => sum + value, 0) / n : NaN;
  const sd = n > 1 ? Math.sqrt(sorted.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (n - 1)) : NaN;
  return { n, mean, sd, cv: sd / mean, d10: quantile(sorted, 0.1), d50: quantile(sorted, 0.5), d90: quantile(sorted, 0.9) };
}

function quantile(sorted, share) {
  if (!sorted.length) return NaN;
  const rank = share * (sorted.length - 1), below = Math.floor(rank);
  const above = Math.min(below + 1, sorted.length - 1);
  return sorted[below] + (rank - below) * (sorted[above] - sorted[below]);
}

/** Number of bins by Freedman and Diaconis, 3 … 80. */
function autoBins(values) {
  const sorted = Float64Array.from(values).sort();
  if (sorted.length < 2) return 3;
  const width = (2 * (quantile(sorted, 0.75) - quantile(sorted, 0.25))) / Math.cbrt(sorted.length);
  const range = sorted[sorted.length - 1] - sorted[0];
  return width > 0 ? Math.min(80, Math.max(3, Math.ceil(range / width))) : 3;
}

/** Edges of equal bins between round numbers that hold all values; at most about ``bins`` of them. */
function binEdges(low, high, bins) {
  if (!(high > low)) { const half = Math.abs(low) / 100 || 0.5; low -= half; high += half; }
  const width = (high - low) / bins;
  return Float64Array.from({ length: bins + 1 }, (_, i) => (i === bins ? high : low + i * width));
}

/** How many values each bin holds: low ≤ value < high, the last bin with its end. */
function countBins(values, edges) {
  const bins = edges.length - 1, counts = new Float64Array(bins), scale = bins / (edges[bins] - edges[0]);
  for (const value of values) {
    if (value < edges[0] || value > edges[bins]) continue;
    let bin = Math.min(bins - 1, Math.floor((value - edges[0]) * scale));
    if (value < edges[bin]) bin--;
    else if (bin < bins - 1 && value >= edges[bin + 1]) bin++;
    counts[bin]++;
  }
  return counts;
}

/** A number as people read it: four significant digits, no exponent where there need be none. */
function shown(value, digits = 4) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (Number.isInteger(value) && Math.abs(value) < 1e15) return value.toLocaleString("en").replaceAll(",", "\u202f");
  const text = Number(value.toPrecision(digits));
  return Math.abs(text) >= 1e6 || (text !== 0 && Math.abs(text) < 1e-4) ? value.toExponential(digits - 1) : String(text);
}

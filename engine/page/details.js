// What is said about one particle, and about how a micrograph was measured.

const TIP = {
  lobes: ["equivalent_diameter_area", "area", "feret_diameter_max", "aspect_ratio", "circularity"],
  sets: ["equivalent_diameter_area", "distance", "distance_ab", "distance_bc", "angle_max", "confidence"],
};

function nameOf(image, particle) {
  if (!image.isSet(particle)) return `Lobe ${image.lobes.text(image.members[particle][0], "label")} of no set`;
  const kind = image.group("sets", particle);
  return `${kind[0].toUpperCase()}${kind.slice(1)}, set ${image.sets.text(particle, "set")}`;
}

/** A row's value of a quantity with its unit, in nm where the scale is known; "" where it is not defined. */
function valueText(table, row, quantity) {
  const name = table.scaled(quantity);
  if (!table.has(name) || table.text(row, name) === "") return "";
  return `${shown(Number(table.text(row, name)))}${table.units[name] ? ` ${table.units[name]}` : ""}`;
}

function stateText(image, particle) {
  const kind = image.isSet(particle) ? "sets" : "lobes", row = kind === "sets" ? particle : image.members[particle][0];
  const excluded = image.excludedBy(kind, row);
  if (excluded === USER) return "excluded by you";
  if (excluded) return `left out by the filter ${excluded}`;
  return image.atEdge(kind, row) ? "touches the edge: not in the statistics" : "";
}

function describeParticle(image, particle) {
  const [table, row] = image.isSet(particle) ? [image.sets, particle] : [image.lobes, image.members[particle][0]];
  return [nameOf(image, particle), `diameter ${valueText(table, row, "equivalent_diameter_area")}`, stateText(image, particle)].filter(Boolean).join(", ");
}

function element(tag, text, ...children) {
  const made = document.createElement(tag);
  made.textContent = text;
  made.append(...children);
  return made;
}

/** The measures of the lobe under the pointer and of its set. */
function fillTip(tip, image, particle, lobe) {
  const list = (table, row, quantities) => element("dl", "", ...quantities.flatMap((quantity) => {
    const text = valueText(table, row, quantity);
    return text ? [element("dt", quantity), element("dd", text)] : [];
  }));
  const state = stateText(image, particle);
  tip.replaceChildren(element("strong", nameOf(image, particle)), ...(state ? [element("em", state)] : []));
  if (image.isSet(particle)) tip.append(list(image.sets, particle, TIP.sets));
  if (lobe < 0 || image.members[particle].length < 2 && image.isSet(particle) && !image.lobes.length) return;
  const role = image.lobes.text(lobe, "lobe");
  tip.append(element("strong", `Lobe ${image.lobes.text(lobe, "label")}${role ? ` (${role})` : ""}`), list(image.lobes, lobe, TIP.lobes));
}

/** With what a micrograph was measured, in a line; more is said below. */
function factsOf(image) {
  const { record } = image, { length } = record.warnings, more = element("a", length ? `${length === 1 ? "one warning" : `${length} warnings`}, settings` : "settings");
  more.href = "#how";
  const scale = record.pixel_size.nm_per_px === null ? "unknown pixel size, lengths in px" : sizeText(record.pixel_size);
  return [`${image.name} · ${scale} · ${record.model ? `model ${record.model.name} ${record.model.digest.slice(0, 8)}` : `method ${record.method}`} · `, more];
}

function sizeText(size) {
  const error = size.uncertainty_nm_per_px === null ? "" : ` ± ${shown(size.uncertainty_nm_per_px, 2)}`;
  return `${shown(size.nm_per_px, 6)}${error} nm per px, ${size.source}`;
}

/** Model, settings, scale, versions and warnings of one micrograph. */
function fillMethod(place, image) {
  const { record } = image, { input, pixel_size: size } = record;
  const rows = (entries) => element("dl", "", ...entries.flatMap(([name, value]) => [element("dt", name), element("dd", value)]));
  const text = (value) => (value === null || value === undefined ? "by the model or the file" : typeof value === "object" ? JSON.stringify(value) : String(value));
  const area = input.analysed_area;
  const main = rows([
    ["File", input.path],
    ["SHA-256", input.sha256],
    ["Image", `${input.shape[1]} × ${input.shape[0]} px, ${input.dtype}`],
    ["Analysed area", `rows ${area.row0} to ${area.row1}, columns ${area.col0} to ${area.col1} (half-open)`],
    ["Pixel size", size.nm_per_px === null ? "unknown: all lengths are in px" : sizeText(size)],
    ...size.found.filter((other) => other.source !== size.source).map((other) => ["Other pixel size", `${shown(other.nm_per_px, 6)} nm per px (${other.source})`]),
    ...record.filters.map((filter) => [`Filter ${filter.name}`, `${[filter.threshold].flat().join(", ")}${filter.unit && ` ${filter.unit}`}: ` +
      `${shown(filter.lobes_excluded)} of ${shown(filter.lobes_before)} lobes left out`]),
    ...(record.model
      ? [
          ["Model", `${record.model.name} (${record.model.digest})`],
          ["Zoom", `${shown(record.zoom.model_px_per_px)} model px per px${record.zoom.source ? ` (${record.zoom.source})` : ""}`],
        ]
      : [["Method", `${record.method}, without a model`]]),
    ["Analysed", record.created],
    ["Versions", Object.entries(record.versions).map(([name, version]) => `${name} ${version}`).join(", ")],
  ]);
  const settings = element("details", "", element("summary", "Settings"), rows(Object.entries(record.settings).map(([name, value]) => [name, text(value)])));
  const warnings = record.warnings.length
    ? [element("h3", record.warnings.length === 1 ? "One warning" : `${record.warnings.length} warnings`), element("ul", "", ...record.warnings.map((warning) => element("li", warning)))]
    : [];
  place.replaceChildren(...warnings, main, settings);
}

// Ties the parts together: one state, and what each change of it redraws.

const byId = (id) => document.getElementById(id);
const jsonOf = (id) => JSON.parse(byId(id).textContent);
const run = jsonOf("run");
const images = run.images.map((data, index) => new Micrograph(data, index));
const drawings = new Map();
const scopes = [
  ["this", "this micrograph", (image) => image === current],
  ["scaled", "all micrographs with a scale", (image) => image.pixelSize !== null],
  ["unscaled", "all micrographs without a scale", (image) => image.pixelSize === null],
];
let current = null;
let bins = null; // null: as many as Freedman and Diaconis say

const table = new Rows(byId("rows"), run.definitions, {
  hover: (particle) => hover(particle, -1), choose: (particle) => choose(particle, "table"), toggle,
  filtered: (rows, of, isFilter) => {
    byId("table-count").textContent = `${shown(rows.length)} of ${shown(of)} rows`;
    picture.showOnly(isFilter ? new Set(rows.map((row) => table.particle(row))) : null);
  },
});
const picture = new Picture(byId("stage"), run.palette, {
  hover, toggle, turn, choose: (particle) => choose(particle, "picture"),
  drawn: () => { byId("zoom").textContent = `${Math.round(picture.view.scale * 100)} %`; },
});
const past = []; // changes that can be undone: { image, particles }
const undone = [];
const histogram = new Histogram(byId("chart"), pickBin);

function options(select, entries, keep = select.value) {
  select.replaceChildren(...entries.map(([value, text]) => new Option(text, value)));
  if (entries.some(([value]) => value === keep)) select.value = keep;
}

function open(index) {
  current = images[index];
  if (!drawings.has(index)) {
    const element = byId(`picture-${index}`);
    drawings.set(index, new Drawing(JSON.parse(element.textContent), current));
    element.remove(); // its text is of no more use
  }
  byId("image").value = String(index);
  byId("previous").disabled = index === 0;
  byId("next").disabled = index === images.length - 1;
  const { row0, row1, col0, col1 } = current.area;
  byId("stage").style.setProperty("--aspect", `${col1 - col0} / ${row1 - row0}`);
  byId("facts").replaceChildren(...factsOf(current));
  byId("note").textContent = current.note;
  byId("note").hidden = !current.note;
  table.open(current);
  fillChoices();
  filterRows(); // its role may be none of this micrograph
  fillMethod(byId("method"), current);
  byId("tip").hidden = true;
  histogram.mark(NaN);
  refresh();
  return picture.open(drawings.get(index));
}

/** The choices that depend on the micrograph and on what is shown of it. */
function fillChoices() {
  options(byId("scope"), scopes.filter(([name, , holds]) => name === "this" || (images.length > 1 && images.some(holds))));
  const counted = inScope().map((image) => image[byId("population").value]);
  const isTwin = (name) => /_nm2?$/.test(name) && counted.some((of) => of.has(name.replace(/_nm2?$/, "")));
  const isMeasure = (name) => counted.some((of) => of.has(name) && (of.isNumeric(name) || !of.length));
  const names = [...new Set(counted.flatMap((of) => of.names))];
  const measures = names.filter((name) => !NOT_MEASURES.has(name) && !isTwin(name) && isMeasure(name));
  options(byId("quantity"), measures.map((name) => [name, name]), measures.includes(byId("quantity").value) ? byId("quantity").value : "equivalent_diameter_area");
  const rows = table.table, groups = ordered(Array.from({ length: rows.length }, (_, row) => current.group(table.kind, row)));
  options(byId("filter-role"), [["", "any"], ...groups.map((group) => [group, group])]);
  options(byId("filter-column"), rows.names.filter((name) => rows.isNumeric(name)).map((name) => [name, `${name}${rows.units[name] ? ` [${rows.units[name]}]` : ""}`]),
    byId("filter-column").value || rows.scaled("equivalent_diameter_area"));
}

function inScope() {
  const [, , holds] = scopes.find(([name]) => name === byId("scope").value);
  return images.filter(holds);
}

/** All figures, after a change of what counts or of what is asked for. */
function refresh() {
  const kind = byId("population").value, quantity = byId("quantity").value;
  const of = inScope(), scaled = of.every((image) => image.pixelSize !== null);
  byId("weighting").disabled = kind !== "lobes" || !DIAMETERS.has(quantity);
  if (byId("weighting").disabled) byId("weighting").value = "number";
  const power = WEIGHTINGS[byId("weighting").value];
  const found = collect(of, kind, quantity, scaled, power);
  const units = of[0]?.[kind].units ?? {}, first = of[0]?.[kind];
  const unit = (scaled && units[first.scaled(quantity)]) || units[quantity] || "";
  const number = bins ?? autoBins(found.all.x);
  byId("bins").value = number;
  histogram.isScaled = scaled;
  histogram.show(found.groups, number, `${quantity}${unit ? ` [${unit}]` : ""}`, power > 0);
  byId("bins-number").textContent = `${number} × ${shown(histogram.edges[1] - histogram.edges[0], 3)}${unit ? ` ${unit}` : ""}`;
  fillStatistics(byId("statistics"), found, unit, scaled ? "µm²" : "px²");
  byId("statistics-note").textContent = noteOf(found);
  fillTotals();
  byId("restore").disabled = !current.user.some(Boolean);
  byId("undo").disabled = !past.length;
  byId("redo").disabled = !undone.length;
}

function noteOf({ out, covered }) {
  const parts = [[out.user, "excluded by you"], [out.filter, "left out by filters"], [out.edge, "at the edge of the analysed area"]];
  const named = parts.filter(([n]) => n).map(([n, why]) => `${shown(n)} ${why}`);
  return `${named.length ? `Not counted: ${named.join(", ")}. ` : ""}Lobes cover ${shown(100 * covered, 3)} % of the area. ` +
    "Statistics as in statistics.csv, with edge weights; those of a role count the lobes of whole sets.";
}

function fillTotals() {
  const sum = (of) => shown(images.reduce((total, image) => total + of(image), 0));
  const user = images.reduce((total, image) => total + image.user.reduce((n, is) => n + is, 0), 0);
  byId("totals").textContent = `${images.length > 1 ? `${images.length} micrographs: ` : ""}${sum((image) => image.lobes.length)} lobes, ` +
    `${sum((image) => image.sets.length)} sets, ${shown(user)} excluded by you`;
}

function hover(particle, lobe, event) {
  picture.at = { particle, lobe };
  picture.drawTop();
  table.hover(particle);
  histogram.mark(valueOf(particle, lobe));
  const tip = byId("tip");
  tip.hidden = particle < 0 || !event;
  if (tip.hidden) return;
  fillTip(tip, current, particle, lobe, run.definitions);
  const { clientWidth: width, clientHeight: height } = byId("stage"), box = byId("stage").getBoundingClientRect();
  const x = event.clientX - box.left, y = event.clientY - box.top;
  tip.style.left = `${x + 18 + tip.offsetWidth > width ? Math.max(0, x - 18 - tip.offsetWidth) : x + 18}px`;
  tip.style.top = `${Math.max(0, Math.min(y + 12, height - tip.offsetHeight))}px`;
}

/** What the histogram shows of a particle. */
function valueOf(particle, lobe) {
  const kind = byId("population").value;
  const row = particle < 0 ? -1 : kind === "sets" ? (current.isSet(particle) ? particle : -1) : lobe >= 0 ? lobe : current.members[particle][0];
  const quantity = byId("quantity").value, of = current[kind];
  const name = of.scaled(quantity);
  return row < 0 || !of.has(name) ? NaN : of.numbers(name)[row];
}

function choose(particle, from) {
  picture.choose(particle, from !== "picture" || particle >= 0);
  table.choose(particle, from !== "table" || particle >= 0);
  histogram.mark(valueOf(particle, -1));
  if (particle >= 0 && !["toggle", "undo"].includes(from)) say(describeParticle(current, particle));
}

/** Exclude a particle, or restore it. */
function toggle(particle) {
  const filed = current.filed(particle);
  if (filed && filed !== USER) {
    say(`${nameOf(current, particle)} is left out by the filter ${filed} of the analysis; change that to have it back.`);
    return;
  }
  const isOut = !current.user[particle];
  change(current, [particle], `${nameOf(current, particle)} ${isOut ? "excluded" : "restored"}.`);
  choose(particle, "toggle");
}

/** Exclude particles that count and restore those that the user has excluded; it can be undone. */
function change(image, particles, what) {
  if (!particles.length) return say(`${what} Nothing to change.`);
  past.push({ image, particles });
  undone.length = 0;
  return flip(image, particles, what);
}

function flip(image, particles, what) {
  for (const particle of particles) image.user[particle] = 1 - image.user[particle];
  const isOne = image === current && particles.length === 1;
  if (image !== current) open(image.index);
  else if (isOne) picture.drawParticle(particles[0]);
  else picture.draw();
  if (table.filter.state || table.sort.name === "state") table.refilter();
  else if (isOne) table.drawParticle(particles[0]);
  else table.drawRows();
  refresh();
  say(what);
}

/** Take the last change back, or make it again. */
function back(from, to, what) {
  if (!from.length) return;
  const step = from.pop();
  to.push(step);
  const { image, particles } = step;
  flip(image, particles, `${what}: ${particles.length === 1 ? nameOf(image, particles[0]) : `${shown(particles.length)} particles`}` +
    `${image.user[particles[0]] ? " restored" : " excluded"} in ${image.name}.`);
  if (particles.length === 1) choose(particles[0], "undo");
}
const undo = () => back(past, undone, "Undone");
const redo = () => back(undone, past, "Done again");

function say(text) { byId("said").textContent = text; }

function save(name, type, text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

const on = (id, event, react) => byId(id).addEventListener(event, react);
on("image", "change", () => open(Number(byId("image").value)));
on("zoom-in", "click", () => picture.zoom(1.5));
on("zoom-out", "click", () => picture.zoom(1 / 1.5));
on("zoom-fit", "click", () => picture.fit());
for (const name of ["image", "lobes", "sets", "excluded"]) {
  on(`show-${name}`, "change", (event) => { picture.show[name] = event.target.checked; picture.draw(); });
}
on("colours", "change", (event) => { picture.show.colours = event.target.value; picture.draw(); });
on("previous", "click", () => turn(-1));
on("next", "click", () => turn(1));
on("undo", "click", undo);
on("redo", "click", redo);
on("restore", "click", () => change(current, current.excluded(), "All particles of this micrograph restored."));
on("exclude-rows", "click", () => changeRows((particle) => !current.isExcluded(particle), "excluded"));
on("restore-rows", "click", () => changeRows((particle) => current.user[particle], "restored"));
addEventListener("keydown", (event) => {
  const isText = event.target.matches?.("input[type=number]"); // which undoes what is typed
  if ((event.ctrlKey || event.metaKey) && !event.altKey && !isText) {
    const key = event.key.toLowerCase();
    if (key === "z" && !event.shiftKey) undo();
    else if (key === "y" || key === "z") redo();
    else return;
    event.preventDefault();
  }
});
on("weighting", "change", refresh);
for (const id of ["population", "quantity", "scope"]) on(id, "change", () => { bins = null; fillChoices(); refresh(); });
on("bins", "input", (event) => { bins = Number(event.target.value); refresh(); });
on("bins-auto", "click", () => { bins = null; refresh(); });
on("table-of", "change", (event) => { table.kind = event.target.value; table.sort = { name: null, down: false }; clearFilter(); });
on("all-columns", "change", (event) => { table.all = event.target.checked; table.rebuild(); });
for (const id of ["filter-role", "filter-state", "filter-column"]) on(id, "change", filterRows);
for (const id of ["filter-low", "filter-high"]) on(id, "input", filterRows);
on("filter-clear", "click", clearFilter);
for (const kind of ["lobes", "sets"]) on(`export-${kind}`, "click", () => save(`${kind}-curated.csv`, "text/csv", curatedCsv(images, kind)));
on("open-exclusions", "click", () => byId("exclusions-file").click());
on("exclusions-file", "change", async (event) => {
  const [file] = event.target.files;
  event.target.value = "";
  if (file) openExclusions(file.name, await file.text());
});
on("export-exclusions", "click", () => {
  save("exclusions.json", "application/json", exclusionsJson(images));
  for (const image of images) image.before = image.user.slice();
  say("exclusions.json saved: analyze --exclusions takes it, and Open… here.");
});
addEventListener("beforeunload", (event) => {
  if (images.some((image) => image.user.some((is, particle) => is !== image.before[particle]))) event.preventDefault();
});

function filterRows() {
  const number = (id) => (byId(id).value === "" ? undefined : Number(byId(id).value));
  table.filter = { group: byId("filter-role").value, state: byId("filter-state").value, column: byId("filter-column").value,
    low: number("filter-low"), high: number("filter-high") };
  table.refilter();
}

/** Show the rows that a bin of the histogram counts; all again where it does so already. */
function pickBin(low, high) {
  const kind = byId("population").value, quantity = byId("quantity").value, name = histogram.isScaled ? current[kind].scaled(quantity) : quantity;
  const { column, low: from, high: to } = table.filter, isShown = table.kind === kind && column === name && from === low && to === high;
  byId("table-of").value = table.kind = kind;
  clearFilter();
  if (isShown || !current[kind].has(name)) return;
  byId("filter-state").value = "counts";
  byId("filter-column").value = name;
  byId("filter-low").value = low;
  byId("filter-high").value = high;
  filterRows();
  say(`${name} ${shown(low)} to ${shown(high)}: ${shown(table.rows.length)} ${kind} of this micrograph; the other particles are faint.`);
}

function clearFilter() {
  for (const id of ["filter-role", "filter-state", "filter-low", "filter-high"]) byId(id).value = "";
  table.filter = {};
  table.rebuild();
  fillChoices();
}

/** To the micrograph before or after. */
function turn(by) {
  const index = current.index + by;
  if (images[index]) open(index).then(() => say(`${images[index].name}, ${index + 1} of ${images.length}.`));
}

/** Exclude or restore the particles of all rows that the table's filter shows. */
function changeRows(isAsked, what) {
  const particles = [...new Set(table.rows.map((row) => table.particle(row)))].filter(isAsked);
  change(current, particles, `${shown(particles.length)} particles ${what}.`);
}

/** Exclude what an exclusions file says, besides what is excluded already. */
function openExclusions(name, text) {
  try {
    const { found, lost } = exclusionsIn(JSON.parse(text), images);
    let number = 0;
    for (const image of images) {
      const particles = [...found[image.index]].filter((particle) => !image.isExcluded(particle));
      if (!particles.length) continue;
      number += particles.length;
      change(image, particles, "");
    }
    say(`${name}: ${shown(number)} particles excluded${lost ? `, ${shown(lost)} not found in the micrographs of this page` : ""}.`);
  } catch (error) {
    say(`${name} cannot be used: ${error.message}.`);
  }
}

byId("version").textContent = run.version;
byId("micrographs").hidden = byId("scopes").hidden = images.length < 2;
document.querySelector("h1").textContent = images.length > 1 ? "Particle report" : images[0].name;
const isOneOfTwo = (image) => images.some((other) => other !== image && other.name === image.name);
options(byId("image"), images.map((image, i) => [String(i), `${isOneOfTwo(image) ? image.folder : image.name} (${shown(image.lobes.length)} lobes)`]));
byId("missing").replaceChildren(...run.missing.map((sentence) => element("li", sentence)));
byId("missing").hidden = !run.missing.length;
globalThis.report = { images, picture, table, histogram, describe, open, toggle }; // for scripts
open(0).then(() => requestAnimationFrame(() => { document.documentElement.dataset.ready = String(performance.now()); }));

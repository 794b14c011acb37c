// What the page holds: micrographs with their tables, and which of their particles the user has excluded.

/** Rows of a CSV file as arrays of text. */
function parseCsv(text) {
  if (!text.includes('"')) return text.split(/\r?\n/).filter((line) => line).map((line) => line.split(","));
  const rows = [];
  let row = [], cell = "", quoted = false;
  for (let i = 0; i < text.length; i++) {
    const c = text[i];
    if (quoted) {
      if (c !== '"') cell += c;
      else if (text[i + 1] === '"') cell += text[++i];
      else quoted = false;
    } else if (c === '"') quoted = true;
    else if (c === "," || c === "\n") {
      row.push(cell);
      cell = "";
      if (c === "\n") { rows.push(row); row = []; }
    } else if (c !== "\r") cell += c;
  }
  return rows;
}

function csvCell(value) {
  const text = String(value ?? "");
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** A table as its file has it: columns by name, cells as text, numbers on demand (NaN where a cell is empty). */
class Table {
  constructor(text, units) {
    [this.names, ...this.rows] = parseCsv(text);
    this.units = units;
    this.index = new Map(this.names.map((name, i) => [name, i]));
    this.cache = new Map();
    this.numeric = new Map();
  }
  get length() { return this.rows.length; }
  has(name) { return this.index.has(name); }
  text(row, name) { return this.rows[row][this.index.get(name)] ?? ""; }
  /** The column's twin in nm or nm² where there is one. */
  scaled(name) { return [`${name}_nm`, `${name}_nm2`].find((twin) => this.has(twin)) ?? name; }
  numbers(name) {
    if (!this.cache.has(name)) {
      const column = this.index.get(name);
      this.cache.set(name, Float64Array.from(this.rows, (row) => (row[column] ? Number(row[column]) : NaN)));
    }
    return this.cache.get(name);
  }
  /** Whether a column holds measures: numbers that are not numbers of something. */
  isNumeric(name) {
    if (!this.numeric.has(name)) {
      const column = this.index.get(name);
      this.numeric.set(name, this.has(name) && !["set", "label"].includes(name) && this.rows.some((row) => row[column] !== "") &&
        this.rows.every((row) => !Number.isNaN(Number(row[column]))));
    }
    return this.numeric.get(name);
  }
}

const USER = "user";
const EXCLUSIONS = { format: "samcolloid-edge exclusions", version: 1 };

/** One micrograph. A particle is a set, or a lobe of no set: particles 0 … S − 1 are the sets 1 … S. */
class Micrograph {
  constructor(data, index) {
    Object.assign(this, { index, name: data.name, folder: data.folder, record: data.record, note: data.note });
    const { units } = data.record;
    this.lobes = new Table(data.lobes, units.lobes);
    this.sets = new Table(data.sets, units.sets);
    this.pixelSize = data.record.pixel_size.nm_per_px;
    const sets = this.lobes.numbers("set");
    this.members = Array.from({ length: this.sets.length }, () => []);
    this.particleOf = Int32Array.from(sets, (set, lobe) => {
      const particle = set > 0 ? set - 1 : this.members.push([]) - 1;
      this.members[particle].push(lobe);
      return particle;
    });
    this.user = Uint8Array.from(this.members, (lobes, particle) => Number(this.filed(particle) === USER));
    this.before = this.user.slice();
  }
  get area() { return this.record.input.analysed_area; }
  /** Where particles are counted: the analysed area, or what the region of interest has of it. */
  get counted() {
    const { area } = this, [row0, col0, row1, col1] = this.record.settings.roi ?? [area.row0, area.col0, area.row1, area.col1];
    return { row0: Math.max(row0, area.row0), col0: Math.max(col0, area.col0), row1: Math.min(row1, area.row1), col1: Math.min(col1, area.col1) };
  }
  /** px² of that. */
  get countedArea() {
    const { row0, col0, row1, col1 } = this.counted;
    return (row1 - row0) * (col1 - col0);
  }
  isSet(particle) { return particle < this.sets.length; }
  /** What the analysis left the particle out by; "" where it counts. */
  filed(particle) {
    const [table, row] = this.isSet(particle) ? [this.sets, particle] : [this.lobes, this.members[particle][0]];
    return table.has("excluded_by") ? table.text(row, "excluded_by") : "";
  }
  /** What a row is left out by as things stand: a filter of the analysis, the user, or "" for nothing. */
  excludedBy(kind, row) {
    const table = this[kind];
    const filed = table.has("excluded_by") ? table.text(row, "excluded_by") : "";
    if (filed && filed !== USER) return filed;
    return this.user[kind === "sets" ? row : this.particleOf[row]] ? USER : "";
  }
  /** Particles that the user has excluded. */
  excluded() { return this.members.map((_, particle) => particle).filter((particle) => this.user[particle]); }
  /** Its weight in statistics; 0 at the edge of the analysed area. */
  weight(kind, row) { return this[kind].numbers("edge_weight")[row]; }
  atEdge(kind, row) { return !(this.weight(kind, row) > 0); }
  /** The weight of a lobe as part of its set; 0 where the set does not count. */
  weightOfSet(lobe) {
    const particle = this.particleOf[lobe];
    if (!this.isSet(particle)) return this.weight("lobes", lobe);
    return this.excludedBy("sets", particle) ? 0 : this.weight("sets", particle);
  }
  /** Whether a row is in the statistics. */
  counts(kind, row) { return !this.excludedBy(kind, row) && !this.atEdge(kind, row); }
  /** The lobe whose centroid is nearest to an excluded one's, −1 where it is not the same: off by half its radius, or half as large. */
  nearest({ centroid: [row, col], area }) {
    const [rows, cols, areas] = ["centroid-0", "centroid-1", "area"].map((name) => this.lobes.numbers(name));
    let best = -1, least = Math.sqrt(area / Math.PI) / 2;
    for (let lobe = 0; lobe < rows.length; lobe++) {
      const distance = Math.hypot(rows[lobe] - row, cols[lobe] - col);
      if (distance <= least) [best, least] = [lobe, distance];
    }
    return best >= 0 && areas[best] <= 2 * area && areas[best] >= area / 2 ? best : -1;
  }
  isExcluded(particle) {
    const filed = this.filed(particle);
    return Boolean(this.user[particle] || (filed && filed !== USER));
  }
  /** Of a set its kind; of a lobe that too, with its role where every lobe of the kind has one of its own. */
  group(kind, row) {
    if (kind === "sets") return this.sets.text(row, "kind");
    const particle = this.particleOf[row];
    if (!this.isSet(particle)) return "no set";
    const of = this.sets.text(particle, "kind");
    return ["dumbbell", "trimer"].includes(of) ? `${of} ${this.lobes.text(row, "lobe")}`.trim() : of;
  }
}

/** What an exclusions file says of these micrographs: of each the particles to exclude, and how many were not found.
 *
 * A particle is known by the centroids and areas of its lobes, as ``engine/exclusions.py`` knows it.
 */
function exclusionsIn(content, images) {
  if (content?.format !== EXCLUSIONS.format || content.version !== EXCLUSIONS.version) throw new Error("it is no exclusions file of version 1");
  let lost = 0;
  const found = images.map(() => new Set());
  for (const { sha256, particles } of content.images) {
    const of = images.filter(({ record }) => record.input.sha256 === sha256); // several where it was analysed in several ways
    for (const { lobes } of particles) {
      let isFound = false;
      for (const image of of) {
        const hits = lobes.map((lobe) => image.nearest(lobe)).filter((row) => row >= 0).map((row) => image.particleOf[row]);
        for (const particle of new Set(hits)) {
          if (2 * hits.filter((hit) => hit === particle).length < image.members[particle].length) continue;
          found[image.index].add(particle);
          isFound = true;
        }
      }
      if (!isFound) lost++;
    }
  }
  return { found, lost };
}

/** The micrographs' tables under one header, each row with its file and what it is left out by. */
function curatedCsv(images, kind) {
  const names = [...new Set(images.flatMap((image) => image[kind].names))].filter((name) => name !== "excluded_by");
  const lines = [["file", ...names, "excluded_by"].map(csvCell).join(",")];
  for (const image of images) {
    const table = image[kind];
    for (let row = 0; row < table.length; row++) {
      const cells = names.map((name) => (table.has(name) ? table.text(row, name) : ""));
      lines.push([image.record.input.path, ...cells, image.excludedBy(kind, row)].map(csvCell).join(","));
    }
  }
  return lines.join("\n") + "\n";
}

/** What ``analyze --exclusions`` reads: of each file (by its sha256) the particles that the user has excluded. */
function exclusionsJson(images) {
  const files = new Map();
  for (const image of images) {
    const { sha256, path } = image.record.input, particles = image.excluded();
    if (!particles.length) continue;
    if (!files.has(sha256)) files.set(sha256, { sha256, file: path, particles: [] });
    files.get(sha256).particles.push(...particles.map((particle) => ({
      lobes: image.members[particle].map((lobe) => ({
        centroid: ["centroid-0", "centroid-1"].map((name) => image.lobes.numbers(name)[lobe]),
        area: image.lobes.numbers("area")[lobe],
      })),
    })));
  }
  const content = { ...EXCLUSIONS, images: [...files.values()] };
  return JSON.stringify(content, null, 2) + "\n";
}

function bytesOf(base64) {
  return Uint8Array.from(atob(base64), (c) => c.charCodeAt(0)).buffer;
}

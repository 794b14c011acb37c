// Outlines along pixel edges: decoding, what lies under a point, and drawing with no more corners than can be seen.

class Outlines {
  /** Polygons as ``page_data.Outlines`` tells them: starts and runs along x and y in turn. */
  constructor(data) {
    this.owner = new Int32Array(bytesOf(data.owner));
    const start = new Int32Array(bytesOf(data.start)), count = new Int32Array(bytesOf(data.count));
    const runs = data.bits === 8 ? new Int8Array(bytesOf(data.runs)) : new Int32Array(bytesOf(data.runs));
    this.x = new Int32Array(runs.length);
    this.y = new Int32Array(runs.length);
    this.first = new Int32Array(count.length + 1);
    this.polygons = new Map();
    for (let p = 0, i = 0; p < count.length; p++) {
      let x = start[2 * p], y = start[2 * p + 1];
      for (const end = i + count[p]; i < end; i += 2) {
        this.x[i] = x; this.y[i] = y;
        x += runs[i];
        this.x[i + 1] = x; this.y[i + 1] = y;
        y += runs[i + 1];
      }
      this.first[p + 1] = i;
      const owner = this.owner[p];
      if (this.polygons.has(owner)) this.polygons.get(owner).push(p);
      else this.polygons.set(owner, [p]);
    }
  }
  /** Whether a point (x, y), edge coordinates, lies inside a label: even-odd over its polygons. */
  contains(label, px, py) {
    let inside = false;
    for (const p of this.polygons.get(label) ?? []) {
      for (let i = this.first[p], end = this.first[p + 1], j = end - 1; i < end; j = i++) {
        if (this.y[i] > py !== this.y[j] > py && px < this.x[i]) inside = !inside;
      }
    }
    return inside;
  }
  /** Add a label's polygons to a canvas' path; view: screen = image × scale + (left, top). */
  trace(context, label, { scale, left, top }) {
    for (const p of this.polygons.get(label) ?? []) {
      const from = this.first[p], end = this.first[p + 1];
      const step = Math.max(1, Math.min(Math.round(1.2 / scale), Math.floor((end - from) / 10)));
      context.moveTo(this.x[from] * scale + left, this.y[from] * scale + top);
      for (let i = from + step; i < end; i += step) context.lineTo(this.x[i] * scale + left, this.y[i] * scale + top);
      context.closePath();
    }
  }
}

/** What there is to draw of one micrograph; the picture itself comes when it is decoded. */
class Drawing {
  constructor(data, image) {
    this.image = image;
    this.lobes = new Outlines(data.lobes);
    this.sets = new Outlines(data.sets);
    this.boxes = new Int32Array(bytesOf(data.boxes)); // row0, col0, row1, col1 of each label
    this.colours = new Uint8Array(bytesOf(data.colours));
    [this.height, this.width] = image.record.input.shape;
    this.picture = null;
    this.ready = data.picture === null ? Promise.resolve() : this.decode(data.picture);
  }
  async decode(uri) {
    const picture = new Image();
    picture.src = uri;
    await picture.decode();
    this.picture = picture;
  }
  /** The lobe (row of the table) at a point (x, y) of the image, −1 where there is none. */
  lobeAt(x, y) {
    for (let lobe = 0; lobe < this.boxes.length / 4; lobe++) {
      const [row0, col0, row1, col1] = this.boxes.subarray(4 * lobe, 4 * lobe + 4);
      if (y >= row0 && y < row1 && x >= col0 && x < col1 && this.lobes.contains(lobe + 1, x, y)) return lobe;
    }
    return -1;
  }
  /** row0, col0, row1, col1 around a particle. */
  box(particle) {
    const boxes = this.image.members[particle].map((lobe) => this.boxes.subarray(4 * lobe, 4 * lobe + 4));
    return [0, 1, 2, 3].map((i) => (i < 2 ? Math.min : Math.max)(...boxes.map((box) => box[i])));
  }
}

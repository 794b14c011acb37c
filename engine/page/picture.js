// The micrograph with its outlines: two canvases, one for the picture and one for what the pointer is at.

const GREY_OUT = "#9aa0a6";
/** Okabe and Ito's hues, told apart with every kind of colour blindness, brighter as lines on grey. */
const ROLE_COLOURS = {
  sphere: "#3d9bff", "dumbbell large": "#ff7b1c", "dumbbell small": "#5fd3ff", "trimer a": "#ff7ad1", "trimer b": "#00e18c",
  "trimer c": "#ffd83d", dumbbell: "#ff7b1c", trimer: "#00e18c", chain: "#b79bff",
};
const OUTLINES_A_PATH = 16; // Chromium's rasteriser takes longer than in proportion for many
const roleColour = (group) => ROLE_COLOURS[group] ?? "#ffffff";

class Picture {
  /** ``on``: hover(particle, lobe, event), choose(particle), toggle(particle), turn(by) are called; −1 is none. */
  constructor(stage, palette, on) {
    this.stage = stage;
    this.palette = palette;
    this.on = on;
    [this.base, this.top] = stage.querySelectorAll("canvas");
    this.show = { image: true, lobes: true, sets: true, excluded: true, colours: "set" };
    this.view = { scale: 1, left: 0, top: 0 };
    this.drawing = null;
    this.at = { particle: -1, lobe: -1 };
    this.chosen = -1;
    this.only = null; // particles that are not faint; null: all
    listen(this);
    new ResizeObserver(() => this.resize()).observe(stage);
  }

  async open(drawing) {
    this.drawing = drawing;
    this.at = { particle: -1, lobe: -1 };
    this.chosen = -1;
    this.fit();
    await drawing.ready;
    if (this.drawing === drawing) this.draw();
  }

  /** Draw all but these particles faintly; null: none. */
  showOnly(particles) {
    if (!particles && !this.only) return;
    this.only = particles;
    this.draw();
  }

  resize() {
    const { clientWidth: width, clientHeight: height } = this.stage, density = window.devicePixelRatio || 1;
    for (const canvas of [this.base, this.top]) {
      canvas.width = Math.round(width * density);
      canvas.height = Math.round(height * density);
    }
    if (!this.drawing) return;
    if (this.fitted) this.fit();
    // A resized canvas is empty: drawn at once, no frame shows it so.
    this.drawBase();
    this.drawTop();
  }

  fit() {
    const { clientWidth: width, clientHeight: height } = this.stage;
    const { area } = this.drawing.image;
    const high = area.row1 - area.row0, wide = area.col1 - area.col0;
    const scale = Math.min(width / wide, height / high);
    this.view = { scale, left: (width - wide * scale) / 2 - area.col0 * scale, top: (height - high * scale) / 2 - area.row0 * scale };
    this.fitted = true;
    this.draw();
  }

  /** Zoom by a factor about a point of the stage, its middle where none is given. */
  zoom(factor, x = this.stage.clientWidth / 2, y = this.stage.clientHeight / 2) {
    const { scale, left, top } = this.view;
    const next = Math.min(64, Math.max(0.02, scale * factor)), by = next / scale;
    this.view = { scale: next, left: x - (x - left) * by, top: y - (y - top) * by };
    this.fitted = false;
    this.draw();
  }

  pan(dx, dy) {
    this.view = { ...this.view, left: this.view.left + dx, top: this.view.top + dy };
    this.fitted = false;
    this.draw();
  }

  /** Bring a particle into sight and mark it. */
  choose(particle, move = true) {
    this.chosen = particle;
    if (move && particle >= 0) {
      const [row0, col0, row1, col1] = this.drawing.box(particle);
      const { scale, left, top } = this.view, { clientWidth: width, clientHeight: height } = this.stage;
      const inside = col0 * scale + left >= 0 && col1 * scale + left <= width && row0 * scale + top >= 0 && row1 * scale + top <= height;
      if (!inside) return this.pan(width / 2 - left - ((col0 + col1) / 2) * scale, height / 2 - top - ((row0 + row1) / 2) * scale);
    }
    return this.drawTop();
  }

  /** Draw at the next frame. */
  draw() {
    this.pending ??= requestAnimationFrame(() => {
      this.pending = null;
      this.drawBase();
      this.drawTop();
    });
  }

  /** Draw a particle and what is around it anew, at once. */
  drawParticle(particle) {
    if (this.pending) return;
    const [row0, col0, row1, col1] = this.drawing.box(particle), { scale, left, top } = this.view, margin = 8;
    const x = Math.floor(col0 * scale + left) - margin, y = Math.floor(row0 * scale + top) - margin;
    this.drawBase([x, y, Math.ceil(col1 * scale + left) + margin - x, Math.ceil(row1 * scale + top) + margin - y]);
  }

  /** The context of a canvas, cleared: all of it, or a part (x, y, width, height) out of which nothing is drawn. */
  context(canvas, part) {
    const context = canvas.getContext("2d"), density = window.devicePixelRatio || 1;
    context.setTransform(density, 0, 0, density, 0, 0);
    context.beginPath();
    context.rect(...part);
    context.save();
    context.clip();
    context.clearRect(...part);
    context.lineJoin = "round";
    return context;
  }

  get all() { return [0, 0, this.stage.clientWidth, this.stage.clientHeight]; }

  colourOf(particle, lobe) {
    const { image } = this.drawing;
    if (this.show.colours === "role" && lobe >= 0) return roleColour(image.group("lobes", lobe));
    if (this.show.colours === "role") return roleColour(image.group("sets", particle));
    return image.isSet(particle) ? this.palette[this.drawing.colours[particle]] : "#ffffff";
  }

  drawBase(part = this.all) {
    if (!this.drawing) return;
    const context = this.context(this.base, part), { drawing, view, show } = this, { image } = drawing;
    if (drawing.picture && show.image) {
      context.imageSmoothingEnabled = view.scale * window.devicePixelRatio < 3;
      context.imageSmoothingQuality = "medium";
      context.drawImage(drawing.picture, view.left, view.top, drawing.width * view.scale, drawing.height * view.scale);
    } else {
      context.fillStyle = "#2b2f33";
      context.fillRect(view.left, view.top, drawing.width * view.scale, drawing.height * view.scale);
    }
    const lines = new Map(); // by colour and kind
    const add = (key, outlines, label) => {
      if (!lines.has(key)) lines.set(key, []);
      lines.get(key).push([outlines, label]);
    };
    const particles = this.visible(part);
    for (const particle of particles) {
      const isOut = image.isExcluded(particle), isSet = image.isSet(particle);
      if (isOut && !show.excluded) continue;
      const edge = !isOut && image.atEdge(isSet ? "sets" : "lobes", isSet ? particle : image.members[particle][0]);
      const style = `${isOut ? "out" : edge ? "edge" : "in"} ${this.only && !this.only.has(particle) ? "faint" : "plain"}`;
      if (isSet && show.sets) add(`set ${style} ${isOut ? GREY_OUT : this.colourOf(particle, -1)}`, drawing.sets, particle + 1);
      if (!show.lobes || (isSet && show.sets && image.members[particle].length === 1)) continue;
      for (const lobe of image.members[particle]) {
        add(`lobe ${style} ${isOut ? GREY_OUT : this.colourOf(particle, lobe)}`, drawing.lobes, lobe + 1);
      }
    }
    const weight = Math.min(2.5, Math.max(1, 0.8 + view.scale * 0.6));
    for (const [key, labels] of [...lines].sort()) {
      const [kind, style, force, colour] = key.split(" ");
      context.globalAlpha = force === "faint" ? 0.25 : 1;
      context.strokeStyle = colour;
      context.lineWidth = kind === "set" ? weight : weight * 0.6;
      context.setLineDash(style === "in" ? [] : style === "edge" ? [6, 3] : [2, 3]);
      for (let from = 0; from < labels.length; from += OUTLINES_A_PATH) {
        context.beginPath();
        for (const [outlines, label] of labels.slice(from, from + OUTLINES_A_PATH)) outlines.trace(context, label, view);
        context.stroke();
      }
    }
    context.setLineDash([]);
    context.globalAlpha = 1;
    if (show.excluded) this.drawCrosses(context, particles);
    if (image.record.settings.roi) this.drawRegion(context);
    this.drawScaleBar(context);
    context.restore();
    this.on.drawn?.();
  }

  /** A cross over each particle that is left out. */
  drawCrosses(context, particles) {
    const { scale, left, top } = this.view;
    context.beginPath();
    for (const particle of particles) {
      if (!this.drawing.image.isExcluded(particle)) continue;
      const [row0, col0, row1, col1] = this.drawing.box(particle);
      const x = ((col0 + col1) / 2) * scale + left, y = ((row0 + row1) / 2) * scale + top;
      const arm = Math.max(3, Math.min(10, (Math.min(row1 - row0, col1 - col0) * scale) / 4));
      context.moveTo(x - arm, y - arm); context.lineTo(x + arm, y + arm);
      context.moveTo(x + arm, y - arm); context.lineTo(x - arm, y + arm);
    }
    for (const [width, colour] of [[3.5, "rgb(0 0 0 / 60%)"], [1.8, "#ff5a4d"]]) {
      context.lineWidth = width;
      context.strokeStyle = colour;
      context.stroke();
    }
  }

  /** The region of interest. */
  drawRegion(context) {
    const { row0, col0, row1, col1 } = this.drawing.image.counted, { scale, left, top } = this.view;
    context.strokeStyle = "#ffffff";
    context.lineWidth = 1.5;
    context.setLineDash([10, 5]);
    context.strokeRect(col0 * scale + left, row0 * scale + top, (col1 - col0) * scale, (row1 - row0) * scale);
    context.setLineDash([]);
  }

  drawScaleBar(context) {
    const { pixelSize } = this.drawing.image, { clientWidth: width, clientHeight: height } = this.stage;
    const perUnit = this.view.scale / (pixelSize ?? 1), longest = (0.22 * width) / perUnit;
    const power = 10 ** Math.floor(Math.log10(longest));
    const length = power * (longest / power >= 5 ? 5 : longest / power >= 2 ? 2 : 1);
    const unit = pixelSize ? (length >= 1000 ? `${length / 1000} µm` : `${length} nm`) : `${length} px`;
    const bar = length * perUnit, right = width - 16, bottom = height - 16;
    context.fillStyle = "rgb(0 0 0 / 60%)";
    context.fillRect(right - bar - 10, bottom - 28, bar + 20, 38);
    context.fillStyle = "#fff";
    context.fillRect(right - bar, bottom - 2, bar, 4);
    context.font = "13px system-ui, sans-serif";
    context.textAlign = "center";
    context.fillText(unit, right - bar / 2, bottom - 9);
  }

  /** Particles of which something is in a part (x, y, width, height) of the stage, or a line's width from it. */
  visible([x, y, width, height]) {
    const { image, boxes } = this.drawing, { scale, left, top } = this.view, line = 10;
    const x0 = (x - line - left) / scale, y0 = (y - line - top) / scale;
    const x1 = (x + width + line - left) / scale, y1 = (y + height + line - top) / scale;
    const seen = (lobe) => boxes[4 * lobe + 2] > y0 && boxes[4 * lobe] < y1 && boxes[4 * lobe + 3] > x0 && boxes[4 * lobe + 1] < x1;
    return image.members.flatMap((lobes, particle) => (lobes.some(seen) ? [particle] : []));
  }

  drawTop() {
    if (!this.drawing) return;
    const context = this.context(this.top, this.all);
    for (const [particle, fill] of [[this.chosen, "rgb(255 255 255 / 16%)"], [this.at.particle, "rgb(255 255 255 / 28%)"]]) {
      if (particle < 0) continue;
      context.beginPath();
      for (const lobe of this.drawing.image.members[particle]) this.drawing.lobes.trace(context, lobe + 1, this.view);
      context.fillStyle = fill;
      context.fill("evenodd");
      for (const [width, colour] of [[4, "#000"], [2, "#fff"]]) {
        context.lineWidth = width;
        context.strokeStyle = colour;
        context.stroke();
      }
    }
    context.restore();
  }

  /** What lies under a point of the stage. */
  find(x, y) {
    const { scale, left, top } = this.view;
    const lobe = this.drawing ? this.drawing.lobeAt((x - left) / scale, (y - top) / scale) : -1;
    return { lobe, particle: lobe < 0 ? -1 : this.drawing.image.particleOf[lobe] };
  }

  hover(at, event) {
    if (at.lobe === this.at.lobe && at.particle === this.at.particle && !event) return;
    this.at = at;
    this.drawTop();
    this.on.hover(at.particle, at.lobe, event);
  }
}

// Mouse, fingers and keys on the picture.

function listen(picture) {
  const { stage } = picture, down = new Map(); // places of the fingers, or of the mouse with its button down
  let start = null; // where the first came down; null once it is no click any more
  const position = (event) => {
    const box = stage.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  /** The middle of what is down, and how far it spreads. */
  const spread = () => {
    const [one, other] = [...down.values()].slice(-2), [x, y] = other ?? one;
    return [(one[0] + x) / 2, (one[1] + y) / 2, Math.hypot(one[0] - x, one[1] - y)];
  };
  stage.addEventListener("wheel", (event) => {
    event.preventDefault();
    picture.zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0015)), ...position(event));
  }, { passive: false });
  stage.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    start = down.size ? null : position(event);
    down.set(event.pointerId, position(event));
    stage.setPointerCapture(event.pointerId);
  });
  stage.addEventListener("pointermove", (event) => {
    const place = position(event);
    if (!down.has(event.pointerId)) return picture.hover(picture.find(...place), event);
    if (start && Math.hypot(place[0] - start[0], place[1] - start[1]) <= 4) return undefined;
    start = null;
    const [x, y, width] = spread();
    down.set(event.pointerId, place);
    const [nextX, nextY, nextWidth] = spread();
    picture.pan(nextX - x, nextY - y);
    if (width && nextWidth) picture.zoom(nextWidth / width, nextX, nextY);
    return undefined;
  });
  stage.addEventListener("pointerup", (event) => {
    down.delete(event.pointerId);
    const at = start ? picture.find(...position(event)) : null;
    start = null;
    if (at && at.particle >= 0) (event.shiftKey ? picture.on.choose : picture.on.toggle)(at.particle);
  });
  stage.addEventListener("pointercancel", (event) => { down.delete(event.pointerId); start = null; });
  stage.addEventListener("pointerleave", () => picture.hover({ particle: -1, lobe: -1 }));
  stage.addEventListener("keydown", (event) => key(picture, event));
}

function key(picture, event) {
  const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (arrows[event.key] && event.shiftKey) picture.pan(...arrows[event.key].map((step) => -60 * step));
  else if (arrows[event.key]) picture.on.choose(neighbour(picture, ...arrows[event.key]));
  else if (["Enter", " ", "x", "X"].includes(event.key) && picture.chosen >= 0) picture.on.toggle(picture.chosen);
  else if (event.key === "+" || event.key === "=") picture.zoom(1.25);
  else if (event.key === "-") picture.zoom(0.8);
  else if (event.key === "0") picture.fit();
  else if (event.key === "PageUp") picture.on.turn(-1);
  else if (event.key === "PageDown") picture.on.turn(1);
  else if (event.key === "Escape") picture.on.choose(-1);
  else return;
  event.preventDefault();
}

/** The nearest particle in a direction from the chosen one; from none, the one nearest to the upper left. */
function neighbour(picture, dx, dy) {
  const centre = (particle) => {
    const [row0, col0, row1, col1] = picture.drawing.box(particle);
    return [(col0 + col1) / 2, (row0 + row1) / 2];
  };
  const [x, y] = picture.chosen >= 0 ? centre(picture.chosen) : [0, 0];
  let best = picture.chosen, least = Infinity;
  for (let particle = 0; particle < picture.drawing.image.members.length; particle++) {
    if (particle === picture.chosen) continue;
    const [px, py] = centre(particle), along = (px - x) * dx + (py - y) * dy;
    const aside = Math.abs((px - x) * dy) + Math.abs((py - y) * dx);
    const distance = picture.chosen < 0 ? px + py : along + 2 * aside;
    if ((picture.chosen < 0 || along > aside * 0.5) && distance < least) [best, least] = [particle, distance];
  }
  return best;
}

/* Atoms in three dimensions for Panel, drawn by NGL (hatch_build.py puts its code above this text).
 *
 * Python sends positions, values and masks as typed arrays; nothing here is fetched. NGL's own stage listens on
 * `document`, where events from inside Bokeh's shadow roots arrive without their target, so only its Viewer is
 * used: mouse, touch and keys are handled here. NGL's camera stands at -z and looks along +z with +y up, so that
 * screen right is -x.
 */

const MAX_SPHERES = 150_000; // ray-cast spheres up to here, flat discs beyond
const MIN_POINTS = 5_000; // fewer are spheres however long they take
const FLAT_MS = 250; // spheres of which a frame takes longer, as without a graphics card, become discs
const SMOOTH_MS = 60; // a still picture is redrawn with eight samples a pixel where one frame takes no longer
const FIELD_OF_VIEW = 26; // degrees
const HALF_VIEW = Math.tan((FIELD_OF_VIEW * Math.PI) / 360);
const MARGIN = 0.94; // part of the picture that a freshly fitted structure fills
const START = [0, Math.SQRT1_2, Math.SQRT1_2, 0]; // x to the right, y into the screen, z up
const START_TURN = [-0.28, -0.38]; // then turned about the screen's x and, before that, y axis; radians
const ROTATE = 0.008; // radians a pixel
const KEY_ROTATE = Math.PI / 24;
const KEY_ZOOM = 1.15;
const TAP = 4; // pixels a finger may wander
const GHOST = 1.25; // radius of a ghost over that of an atom
const MAX_RINGS = 300; // ghosts that get a ring seen through the atoms before them
const THEMES = {
  light: { paper: "#ffffff", line: "#737a85", missing: "#a8a8a8", ghost: "#7d3ac7", ring: "#d6006c", light: 0.78 },
  dark: { paper: "#121212", line: "#949ea8", missing: "#6b6b6b", ghost: "#c79eff", ring: "#ffd54a", light: 0.62 },
};
const AXES = [
  ["x", "#d1495b", [1, 0, 0]],
  ["y", "#3c9d5b", [0, 1, 0]],
  ["z", "#3f7fd1", [0, 0, 1]],
];
const LAYOUT = `
  .atoms-stage { position: absolute; inset: 0; overflow: hidden; outline: none; touch-action: none; border-radius: 6px; cursor: grab;
    scroll-margin: 90px 0; /* brought into sight, it stays clear of what lies over the page and shows what stands below */
    color: var(--panel-on-background-color, inherit); transition: color 1ms; }
  .atoms-stage:active { cursor: grabbing; }
  .atoms-stage:focus-visible { box-shadow: inset 0 0 0 2px var(--panel-primary-color, #1976d2); }
  .atoms-stage > .scene, .atoms-stage > svg { position: absolute; inset: 0; width: 100%; height: 100%; }
  .atoms-stage > svg { pointer-events: none; font: 600 12px sans-serif; }
  .atoms-stage > .message { position: absolute; inset: 0; display: flex; align-items: center; justify-content: center;
    padding: 2em; text-align: center; font: 14px/1.5 sans-serif; pointer-events: none; opacity: 0.85; }
  .atoms-stage > .message:empty { display: none; }`;

const views = new WeakMap(); // Bokeh may render a view again without removing it first
const living = new Set(); // those that may share their camera

export function render({ model, view, el }) {
  views.get(view)?.dispose();
  el.style.position = "relative";
  el.style.height ||= "100%";
  const atoms = new AtomsView(model);
  views.set(view, atoms);
  model.on("remove", () => atoms.dispose());
  return atoms.root;
}

class AtomsView {
  constructor(model) {
    this.model = model;
    this.stale = new Set();
    this.buffers = {};
    this.discarded = [];
    this.mostSpheres = MAX_SPHERES;
    this.started = performance.now();
    this.buildPage();
    const redraw = (what) => () => this.invalidate(what);
    model.on(["frame", "mask"], redraw("geometry"));
    model.on(["values", "lut", "limits"], redraw("colours"));
    model.on("selected", redraw("selection"));
    model.on("theme", redraw("theme"));
    model.on("fit", redraw("fit"));
    model.on("sight", redraw("sight"));
    model.on("snapshot", () => this.sendImage());
    model.on("save", () => this.saveImage());
    model.on("link", () => this.joinCamera());
    this.root.addEventListener("transitionend", redraw("theme")); // the inherited text colour has changed
    this.listen();
    this.resizing = new ResizeObserver(() => this.invalidate("size"));
    this.resizing.observe(this.root);
    living.add(this);
  }

  buildPage() {
    this.root = document.createElement("div");
    this.root.className = "atoms-stage";
    this.root.tabIndex = 0;
    this.root.setAttribute("role", "application");
    this.root.setAttribute("aria-label", "3D view of atoms");
    this.root.innerHTML = `<style>${LAYOUT}</style><div class="scene"></div><svg aria-hidden="true"></svg>
      <div class="message" role="status"></div>`;
    [, this.scene, this.overlay, this.message] = this.root.children;
  }

  /* --- when to draw: changes of one Python update arrive one by one and are drawn together --- */

  invalidate(what) {
    this.stale.add(what);
    this.pending ??= requestAnimationFrame(() => {
      this.pending = undefined;
      this.update();
    });
  }

  update() {
    if (this.disposed || !this.root.clientWidth || !this.root.clientHeight) return; // hidden tab
    if (!this.viewer && !this.start()) return;
    const stale = this.stale;
    this.stale = new Set();
    const begun = performance.now();
    if (stale.has("size")) this.resize();
    if (stale.has("theme") || stale.has("size")) {
      if (this.applyTheme()) stale.add("geometry");
    }
    if (stale.has("geometry")) this.drawFrame();
    if (stale.has("fit")) this.fit(this.drawnBox());
    if (stale.has("geometry")) {
      this.report("draw_ms", begun);
    } else if (stale.has("colours")) {
      this.buffers.atoms?.setAttributes({ color: this.colours() });
      this.report("recolour_ms", begun);
    } else this.viewer.requestRender();
    if (stale.has("sight")) this.root.scrollIntoView({ block: "nearest", behavior: "smooth" });
  }

  start() {
    const problem = obstacle();
    if (problem) {
      this.message.textContent = problem;
      if (this.model.status.state !== "unavailable") this.model.status = { state: "unavailable", message: problem };
      return false;
    }
    const viewer = (this.viewer = withoutMultisampling(() => new NGL.Viewer(this.scene)));
    viewer.setCamera("perspective", FIELD_OF_VIEW);
    viewer.setClip(-100, 200, 0.5, "scene", "relative");
    this.reset();
    this.joinCamera();
    viewer.signals.rendered.add(() => this.drawOverlay());
    const canvas = viewer.renderer.domElement;
    canvas.addEventListener("webglcontextlost", () => {
      this.message.textContent = "The graphics card is busy elsewhere; the picture returns when it is free, or after a reload.";
    });
    canvas.addEventListener("webglcontextrestored", () => this.invalidate("geometry"));
    viewer.animate();
    this.stale.add("size").add("geometry");
    return true;
  }

  report(name, begun) {
    const { model, viewer } = this;
    const frame = this.slowFrame();
    const now = performance.now();
    this.disposeDiscarded();
    const milliseconds = (since) => Math.round(10 * (now - since)) / 10;
    this.firstFrame ??= this.drawn ? milliseconds(this.started) : undefined;
    model.status = {
      ...model.status,
      state: "ready",
      mode: this.buffers.atoms?.isPoint ? "points" : "spheres",
      drawn: this.drawn,
      revision: (model.status.revision ?? 0) + 1,
      first_frame_ms: this.firstFrame ?? null,
      [name]: milliseconds(begun),
    };
    viewer.setSampling(frame > SMOOTH_MS ? -1 : 0);
  }

  // milliseconds of a frame; spheres that take too long become discs
  slowFrame() {
    let frame = this.renderNow();
    if (frame > SMOOTH_MS && !this.compiled) frame = this.renderNow(); // the first frame also compiles the shaders
    this.compiled = this.drawn > 0;
    if (frame > FLAT_MS && this.drawn > MIN_POINTS && !this.buffers.atoms.isPoint) {
      this.mostSpheres = this.drawn - 1;
      this.drawFrame();
      this.renderNow();
      frame = this.renderNow();
    }
    return frame;
  }

  renderNow() {
    const begun = performance.now();
    const gl = this.viewer.renderer.getContext();
    this.viewer.render();
    gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, new Uint8Array(4)); // waits for the graphics card
    return performance.now() - begun;
  }

  /* --- what to draw --- */

  drawFrame() {
    const { model } = this;
    for (const name of Object.keys(this.buffers)) this.replace(name, null);
    const { positions, cell, ghosts } = model.frame;
    const empty = !positions?.length;
    this.message.textContent = empty ? "No structure to show" : "";
    this.shown = empty ? new Uint32Array(0) : shownAtoms(positions.length / 3, model.mask);
    this.drawn = this.shown.length;
    this.root.setAttribute("aria-label", `3D view of ${this.drawn} atoms; arrow keys turn it, plus and minus zoom, Home resets it`);
    if (empty) return;
    if (this.drawn) this.replace("atoms", this.atomsBuffer());
    if (cell) this.replace("cell", this.cellBuffer(cell));
    if (ghosts?.length) this.replace("ghosts", this.ghostsBuffer(ghosts));
    this.follow(positions, cell);
  }

  // a shader program lives as long as something uses it: what is replaced goes after its successor has been drawn
  replace(name, buffer) {
    const old = this.buffers[name];
    if (old) {
      this.viewer.remove(old);
      this.discarded.push(old);
    }
    delete this.buffers[name];
    if (buffer) {
      this.buffers[name] = buffer;
      this.viewer.add(buffer);
    }
  }

  disposeDiscarded() {
    for (const buffer of this.discarded.splice(0)) buffer.dispose();
  }

  atomsBuffer() {
    const { positions, radius } = this.model.frame;
    const position = gather(positions, this.shown, 3);
    // NGL returns the primitive's id from a pick: the index in the whole structure, whatever is filtered out
    const data = { position, color: this.colours(), primitiveId: Float32Array.from(this.shown), picking: { type: "atom" } };
    if (this.drawn > this.mostSpheres) {
      return new NGL.PointBuffer(data, { pointSize: (2 * radius) / HALF_VIEW, useTexture: true, edgeBleach: 0.3 });
    }
    return new NGL.SphereBuffer({ ...data, radius: this.radii() }, { roughness: 0.55 });
  }

  radii() {
    const { radius, radii } = this.model.frame;
    return radii ? gather(radii, this.shown, 1) : new Float32Array(this.drawn).fill(radius);
  }

  colours() {
    const { frame, values, lut, limits } = this.model;
    const missing = channels(this.palette.missing);
    const byValue = values?.length * 3 === frame.positions.length;
    const [low, high] = limits;
    const scale = 255 / (high - low);
    const out = new Float32Array(3 * this.drawn);
    for (let k = 0; k < this.drawn; k++) {
      const i = this.shown[k];
      if (byValue && Number.isNaN(values[i])) {
        out.set(missing, 3 * k);
        continue;
      }
      const table = byValue ? lut : frame.colours;
      const entry = 3 * (byValue ? Math.min(255, Math.max(0, Math.round((values[i] - low) * scale))) : i);
      for (let c = 0; c < 3; c++) out[3 * k + c] = table[entry + c] / 255;
    }
    return out;
  }

  cellBuffer(cell) {
    const ends = [[], []];
    for (const [from, to] of cellEdges(cell)) {
      ends[0].push(...from);
      ends[1].push(...to);
    }
    const color = repeat(channels(this.palette.line), ends[0].length / 3);
    const [position1, position2] = ends.map((points) => Float32Array.from(points));
    return new NGL.WidelineBuffer({ position1, position2, color, color2: color }, { linewidth: 1.5, opacity: 0.8 });
  }

  ghostsBuffer(ghosts) {
    const count = ghosts.length / 3;
    const radius = new Float32Array(count).fill(GHOST * this.model.frame.radius);
    const data = { position: Float32Array.from(ghosts), color: repeat(channels(this.palette.ghost), count), radius };
    return new NGL.SphereBuffer(data, { opacity: 0.42, depthWrite: false, roughness: 0.9 });
  }

  applyTheme() {
    const { theme } = this.model;
    const name = theme === "auto" ? (isLight(getComputedStyle(this.root).color) ? "dark" : "light") : theme;
    const changed = this.palette !== THEMES[name];
    this.palette = THEMES[name];
    this.root.dataset.theme = name;
    this.root.style.background = theme === "auto" ? "" : this.palette.paper;
    this.viewer.setBackground(this.palette.paper);
    this.viewer.setFog(this.palette.paper, 40, 175); // the far side fades a little
    this.viewer.setLight("#ffffff", this.palette.light, "#ffffff", 0.34);
    this.viewer.renderer.domElement.style.background = "transparent"; // the page itself is the background
    return changed;
  }

  /* --- the overlay: axes, rings around ghosts and the selected atom; redrawn with every frame --- */

  drawOverlay() {
    const { width, height } = this.viewer;
    const { ghosts = [] } = this.model.frame;
    const rings = ghosts.length <= 3 * MAX_RINGS ? Array.from({ length: ghosts.length / 3 }, (_, g) => this.ghostRing(g)) : [];
    this.overlay.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.overlay.innerHTML = this.buffers.atoms || this.buffers.cell ? this.axesMarkup(height) + rings.join("") + this.selectionRing() : "";
  }

  axesMarkup(height) {
    const [x0, y0, length] = [38, height - 38, 24];
    const rotated = AXES.map(([name, colour, axis]) => ({ name, colour, end: this.rotate(axis) }));
    rotated.sort((a, b) => b.end.z - a.end.z); // the nearest is drawn last
    return rotated
      .map(({ name, colour, end }) => {
        const [dx, dy] = [-end.x * length, -end.y * length];
        return `<line x1="${x0}" y1="${y0}" x2="${x0 + dx}" y2="${y0 + dy}" stroke="${colour}" stroke-width="2.5" stroke-linecap="round"/>
          <text x="${x0 + 1.42 * dx}" y="${y0 + 1.42 * dy}" fill="${colour}" text-anchor="middle" dominant-baseline="central">${name}</text>`;
      })
      .join("");
  }

  ghostRing(index) {
    const { ghosts, radius } = this.model.frame;
    const circle = this.circle(ghosts, index, GHOST * radius);
    return circle && `<circle ${circle} stroke="${this.palette.ghost}" stroke-width="2" stroke-dasharray="4 3"/>`;
  }

  selectionRing() {
    const { selected, frame, mask } = this.model;
    if (selected < 0 || 3 * selected >= frame.positions.length || (mask && !mask[selected])) return "";
    const circle = this.circle(frame.positions, selected, 1.25 * (frame.radii?.[selected] ?? frame.radius), 7);
    return circle && `<circle ${circle} stroke="${this.palette.paper}" stroke-opacity="0.7" stroke-width="5.5"/>
      <circle ${circle} stroke="${this.palette.ring}" stroke-width="2.5"/>`;
  }

  circle(points, index, radius, least = 0) {
    const { viewer } = this;
    const at = this.rotate([0, 1, 2].map((c) => points[3 * index + c]), true);
    const depth = viewer.cameraDistance + at.z;
    if (depth <= 0) return "";
    const pixels = viewer.height / (2 * HALF_VIEW * depth); // a length of 1 at that depth
    const [x, y] = [viewer.width / 2 - at.x * pixels, viewer.height / 2 - at.y * pixels];
    return `cx="${x}" cy="${y}" r="${Math.max(least, radius * pixels + 1.5)}" fill="none"`;
  }

  rotate([x, y, z], translated = false) {
    const { rotationGroup, translationGroup } = this.viewer;
    const vector = translationGroup.position.clone().multiplyScalar(translated ? 1 : 0);
    vector.set(vector.x + x, vector.y + y, vector.z + z);
    return vector.applyQuaternion(rotationGroup.quaternion);
  }

  /* --- the camera --- */

  follow(positions, cell) {
    const box = cell ? boundingBox(cellEdges(cell).flat(2)) : boundingBox(positions);
    const size = Math.hypot(...box.size) || 1;
    const same = this.box && Math.abs(size - this.box.diagonal) < 0.2 * size &&
      Math.hypot(...box.centre.map((c, k) => c - this.box.centre[k])) < 0.2 * size;
    if (same) return;
    const { radius } = this.model.frame;
    const corners = cell ? cellCorners(cell) : boxCorners(box);
    this.box = { ...box, diagonal: size, corners, radius };
    this.fit(this.box);
  }

  drawnBox() {
    const { positions, ghosts = [], radius } = this.model.frame;
    if (!this.drawn || 3 * this.drawn === positions.length) return this.box;
    const box = boundingBox([...gather(positions, this.shown, 3), ...ghosts]);
    return { ...box, corners: boxCorners(box), radius };
  }

  fit(box) {
    if (!box) return;
    const { viewer } = this;
    viewer.translationGroup.position.set(...box.centre.map((c) => -c));
    const aspect = viewer.width / viewer.height;
    let distance = 1;
    for (const corner of box.corners) {
      const { x, y, z } = this.rotate(corner, true);
      distance = Math.max(distance, (Math.abs(x) + box.radius) / (HALF_VIEW * aspect * MARGIN) - z, (Math.abs(y) + box.radius) / (HALF_VIEW * MARGIN) - z);
    }
    viewer.cameraDistance = distance;
    this.moved();
  }

  // every movement of the camera ends here: views that are linked follow
  moved() {
    this.viewer.requestRender();
    if (this.box) for (const other of this.partners()) other.takeCamera(this); // without a box it is still to be placed
  }

  partners() {
    const { link } = this.model;
    return link ? [...living].filter((other) => other !== this && other.viewer && other.model.link === link) : [];
  }

  takeCamera(other) {
    const { rotationGroup, translationGroup, cameraDistance } = other.viewer;
    this.viewer.rotationGroup.quaternion.copy(rotationGroup.quaternion);
    this.viewer.translationGroup.position.copy(translationGroup.position);
    this.viewer.cameraDistance = (cameraDistance * other.room()) / this.room();
    this.viewer.requestRender();
  }

  // width over height where that is what limits the picture: the camera steps back so that a narrow one shows as much
  room() {
    return Math.min(1, this.viewer.width / this.viewer.height);
  }

  resize() {
    const before = this.room();
    this.viewer.handleResize();
    this.viewer.cameraDistance *= before / this.room();
  }

  joinCamera() {
    const [other] = this.partners();
    if (!this.viewer || !other?.box) return;
    this.box = other.box; // the structure to come is fitted only if it is of another size
    this.takeCamera(other);
  }

  reset() {
    this.viewer.rotationGroup.quaternion.fromArray(START);
    this.turn(0, START_TURN[1]);
    this.turn(START_TURN[0], 0);
    this.fit(this.box);
  }

  turn(aboutX, aboutY) {
    const { quaternion } = this.viewer.rotationGroup;
    const step = quaternion.clone();
    quaternion.premultiply(step.setFromAxisAngle({ x: 1, y: 0, z: 0 }, aboutX));
    quaternion.premultiply(step.setFromAxisAngle({ x: 0, y: 1, z: 0 }, aboutY)).normalize();
    this.moved();
  }

  zoom(factor) {
    const reach = this.box?.diagonal ?? 50;
    const distance = this.viewer.cameraDistance / factor;
    this.viewer.cameraDistance = Math.min(20 * reach, Math.max(0.05 * reach, distance));
    this.moved();
  }

  pan(dx, dy) {
    const { viewer } = this;
    const unit = (2 * HALF_VIEW * viewer.cameraDistance) / viewer.height;
    const inverse = viewer.rotationGroup.quaternion.clone().invert();
    const shift = viewer.translationGroup.position.clone().set(-dx * unit, -dy * unit, 0);
    viewer.translationGroup.position.add(shift.applyQuaternion(inverse));
    this.moved();
  }

  /* --- mouse, touch, keys --- */

  listen() {
    const { root } = this;
    const fingers = new Map();
    let travelled = 0;
    root.addEventListener("contextmenu", (event) => event.preventDefault());
    root.addEventListener("pointerdown", (event) => {
      if (!this.viewer) return;
      if (!fingers.size) travelled = 0;
      fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
      root.setPointerCapture(event.pointerId);
    });
    root.addEventListener("pointermove", (event) => {
      const finger = fingers.get(event.pointerId);
      if (!finger) return;
      const [dx, dy] = [event.clientX - finger.x, event.clientY - finger.y];
      const before = spread(fingers);
      [finger.x, finger.y] = [event.clientX, event.clientY];
      travelled += Math.hypot(dx, dy);
      if (travelled <= TAP) return;
      if (fingers.size > 1) {
        if (before > 0) this.zoom(spread(fingers) / before);
        this.pan(dx / 2, dy / 2);
      } else if (event.shiftKey || event.ctrlKey || event.buttons & 6) this.pan(dx, dy);
      else this.turn(-ROTATE * dy, ROTATE * dx);
    });
    const lift = (event) => {
      const known = fingers.delete(event.pointerId);
      if (known && event.type === "pointerup" && event.button === 0 && !fingers.size && travelled <= TAP) this.pick(event);
    };
    root.addEventListener("pointerup", lift);
    root.addEventListener("pointercancel", lift);
    root.addEventListener("wheel", (event) => {
      if (!this.viewer) return;
      event.preventDefault();
      const pixels = event.deltaY * (event.deltaMode === 1 ? 30 : 1);
      this.zoom(Math.exp(-0.0015 * Math.max(-200, Math.min(200, pixels))));
    }, { passive: false });
    root.addEventListener("keydown", (event) => this.onKey(event));
  }

  onKey(event) {
    const action = {
      ArrowLeft: () => this.turn(0, -KEY_ROTATE),
      ArrowRight: () => this.turn(0, KEY_ROTATE),
      ArrowUp: () => this.turn(KEY_ROTATE, 0),
      ArrowDown: () => this.turn(-KEY_ROTATE, 0),
      "+": () => this.zoom(KEY_ZOOM),
      "=": () => this.zoom(KEY_ZOOM),
      "-": () => this.zoom(1 / KEY_ZOOM),
      Home: () => this.reset(),
    }[event.key];
    if (!action || !this.viewer || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    action();
  }

  pick(event) {
    const box = this.root.getBoundingClientRect();
    const { picker, pid } = this.viewer.pick(event.clientX - box.left, box.bottom - event.clientY);
    const index = picker?.type === "atom" ? pid : -1;
    this.model.picked = index;
    this.model.selected = index;
  }

  /* --- out --- */

  async sendImage() {
    if (this.viewer) this.model.image = (await this.draw()).toDataURL("image/png");
  }

  async saveImage() {
    if (!this.viewer) return;
    const picture = await this.draw();
    picture.toBlob((blob) => {
      const href = URL.createObjectURL(blob);
      Object.assign(document.createElement("a"), { href, download: this.model.file_name }).click();
      setTimeout(() => URL.revokeObjectURL(href), 10_000);
    });
  }

  async draw() {
    const { viewer } = this;
    const factor = 2;
    const atoms = await createImageBitmap(await viewer.makeImage({ factor, antialias: true, transparent: false }));
    const overlay = this.overlay.cloneNode(true);
    overlay.setAttribute("xmlns", "http://www.w3.org/2000/svg");
    overlay.setAttribute("width", atoms.width);
    overlay.setAttribute("height", atoms.height);
    overlay.setAttribute("style", "font: 600 12px sans-serif");
    const marks = new Image();
    marks.src = "data:image/svg+xml," + encodeURIComponent(new XMLSerializer().serializeToString(overlay));
    await marks.decode();
    const canvas = Object.assign(document.createElement("canvas"), { width: atoms.width, height: atoms.height });
    const context = canvas.getContext("2d");
    context.drawImage(atoms, 0, 0);
    context.drawImage(marks, 0, 0);
    return canvas;
  }

  dispose() {
    if (this.disposed) return;
    this.disposed = true;
    living.delete(this);
    this.resizing.disconnect();
    cancelAnimationFrame(this.pending);
    if (!this.viewer) return;
    for (const name of Object.keys(this.buffers)) this.replace(name, null);
    this.disposeDiscarded();
    this.viewer.dispose();
    this.viewer.renderer.forceContextLoss(); // a browser grants about sixteen contexts a page
  }
}

// NGL asks for four samples a pixel. They cannot smooth the edge of an atom, which the shader cuts out of a square,
// and double the time of a frame without a graphics card; still pictures are smoothed by drawing them eight times.
function withoutMultisampling(make) {
  const canvas = HTMLCanvasElement.prototype;
  const { getContext } = canvas;
  canvas.getContext = function (kind, options) {
    return getContext.call(this, kind, { ...options, antialias: false });
  };
  try {
    return make();
  } finally {
    canvas.getContext = getContext;
  }
}

function obstacle() {
  if (typeof NGL === "undefined") {
    return "The 3D viewer has not been built. Run “python hatch_build.py” in the source tree, or install the package again.";
  }
  const context = document.createElement("canvas").getContext("webgl2");
  context?.getExtension("WEBGL_lose_context")?.loseContext();
  return context
    ? ""
    : "This browser offers no WebGL 2, so the atoms cannot be drawn. Switch on hardware acceleration, or use a current Chrome, Firefox, Edge or Safari.";
}

function shownAtoms(count, mask) {
  const shown = new Uint32Array(count);
  let n = 0;
  for (let i = 0; i < count; i++) if (mask?.length !== count || mask[i]) shown[n++] = i;
  return shown.subarray(0, n);
}

function gather(source, indices, width) {
  const out = new Float32Array(width * indices.length);
  for (let k = 0; k < indices.length; k++) {
    for (let c = 0; c < width; c++) out[width * k + c] = source[width * indices[k] + c];
  }
  return out;
}

function channels(colour) {
  return [1, 3, 5].map((k) => parseInt(colour.slice(k, k + 2), 16) / 255);
}

function repeat(colour, count) {
  const out = new Float32Array(3 * count);
  for (let k = 0; k < count; k++) out.set(colour, 3 * k);
  return out;
}

function cellCorners(cell) {
  const corner = (i, j, k) => [0, 1, 2].map((c) => i * cell[c] + j * cell[3 + c] + k * cell[6 + c]);
  return Array.from({ length: 8 }, (_, n) => corner(n & 1, (n >> 1) & 1, n >> 2));
}

function cellEdges(cell) {
  const corners = cellCorners(cell);
  return [1, 2, 4].flatMap((bit) => corners.flatMap((from, n) => (n & bit ? [] : [[from, corners[n | bit]]])));
}

function boundingBox(positions) {
  const low = [Infinity, Infinity, Infinity];
  const high = [-Infinity, -Infinity, -Infinity];
  for (let k = 0; k < positions.length; k++) {
    low[k % 3] = Math.min(low[k % 3], positions[k]);
    high[k % 3] = Math.max(high[k % 3], positions[k]);
  }
  return { low, high, centre: low.map((v, c) => (v + high[c]) / 2), size: low.map((v, c) => high[c] - v) };
}

function boxCorners({ low, high }) {
  return Array.from({ length: 8 }, (_, n) => low.map((v, c) => ((n >> c) & 1 ? high[c] : v)));
}

function spread(fingers) {
  const [a, b] = fingers.values();
  return b ? Math.hypot(a.x - b.x, a.y - b.y) : 0;
}

function isLight(colour) {
  const context = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  context.fillStyle = colour;
  context.fillRect(0, 0, 1, 1);
  const [r, g, b] = context.getImageData(0, 0, 1, 1).data;
  return 0.299 * r + 0.587 * g + 0.114 * b > 128;
}

export default { render };

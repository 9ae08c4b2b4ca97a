"use strict";
// Cases worth a look: the image with the truth and with what two runs say, slices in step.
(() => {
  const place = document.getElementById("viewer");
  if (!DATA.cases.length) return;
  let at = 0, rival = Math.min(1, DATA.groups.length - 1), busy = Promise.resolve();
  const views = [];
  const panels = make("div", { class: "panels" });
  const said = make("p", { class: "said", "aria-live": "polite" });
  const chooseCase = choice("case", DATA.cases.map((c, i) => [i, `${c.id} (${c.why})`]),
    (v) => { at = +v; show(); });
  const chooseRun = choice("run", DATA.groups.map((n, i) => [i, n]), (v) => { rival = +v; show(); });
  chooseRun.querySelector("select").value = rival;
  const overlay = make("input", { type: "range", min: 0, max: 1, step: 0.05, value: 0.5,
    oninput: () => views.forEach((v) => v.volumes.length > 1 && v.setOpacity(1, +overlay.value)) });
  const plane = choice("plane", [["0", "axial"], ["1", "coronal"], ["2", "sagittal"],
    ["3", "all three"]], (v) => views.forEach((view) => view.setSliceType(+v)));
  const flat = DATA.cases.every((c) => c.picture !== undefined);
  const key = make("p", {}, ...DATA.labels.flatMap((name, i) => [make("span", { class: "swatch",
    style: `background:${colour(i + 1)}`, "aria-hidden": "true" }), name]),
    " \u2003 Wheel, or arrow keys up and down, go through the slices of all pictures.");
  place.append(make("div", { class: "controls" }, chooseCase, chooseRun,
    ...(flat ? [] : [plane, make("label", {}, "mask ", overlay)])), panels, said,
    ...(flat ? [] : [key]));

  function colours() {
    const rgb = COLOURS.map((c) => [1, 3, 5].map((i) => parseInt(c.slice(i, i + 2), 16)));
    const count = DATA.labels.length + 1;
    const pick = (channel) => [0, ...Array.from({ length: count - 1 }, (_, i) =>
      rgb[(i + 1) % rgb.length][channel])];
    return { R: pick(0), G: pick(1), B: pick(2), A: [0, ...Array(count - 1).fill(255)],
      I: Array.from({ length: count }, (_, i) => i), labels: ["background", ...DATA.labels] };
  }

  function step(event, view, canvas) {
    const by = { ArrowUp: 1, ArrowDown: -1 }[event.key];
    if (!by) return;
    const axis = { 1: 1, 2: 0 }[plane.querySelector("select").value] ?? 2;
    view.moveCrosshairInVox(...[0, 1, 2].map((i) => (i === axis ? by : 0)));
    canvas.dataset.at = [...view.scene.crosshairPos].map((v) => v.toFixed(3)).join(" ");
    event.preventDefault();
  }

  async function volumes(view, image, mask) {
    while (view.volumes.length) view.removeVolume(view.volumes[0]);
    if (image) {
      view.addVolume(await niivue.NVImage.loadFromBase64({ base64: image, name: "image.nii.gz" }));
    }
    if (mask) {
      const volume = await niivue.NVImage.loadFromBase64(
        { base64: mask, name: "mask.nii.gz", opacity: image ? +overlay.value : 1 });
      volume.setColormapLabel(colours());
      view.addVolume(volume);
    }
    view.updateGLVolume();
  }

  function shown(item) {
    const columns = [["truth", item.truth]];
    for (const i of new Set([0, rival])) columns.push([DATA.groups[i], item.predictions[i]]);
    return columns;
  }

  async function draw() {
    const item = DATA.cases[at];
    said.textContent = `${item.id}: ${item.scores.map((s, i) =>
      `${DATA.groups[i]} ${s === null ? "–" : s.toPrecision(4)}`).join(", ")} (${DATA.title})`;
    if (item.picture !== undefined) {
      const parts = [["truth", item.truth], ...shown(item).slice(1)];
      return panels.replaceChildren(...parts.map(([name, text], i) => make("figure", {},
        ...(i === 0 && item.picture ? [make("img", { alt: item.id, src: item.picture })] : []),
        make("figcaption", {}, `${name}: ${text ?? "–"}`))));
    }
    const columns = shown(item);
    while (views.length < columns.length) {
      const canvas = make("canvas", { tabindex: 0, "aria-label": "slices" });
      const caption = make("figcaption");
      panels.append(make("figure", {}, make("div", { class: "slices" }, canvas), caption));
      const view = new niivue.Niivue({ backColor: [0, 0, 0, 1], show3Dcrosshair: false,
        crosshairColor: [1, 1, 1, 0.4], loadingText: "", isRadiologicalConvention: true,
        multiplanarForceRender: false, crosshairWidth: 0.2 });
      await view.attachToCanvas(canvas);
      view.setInterpolation(true);
      view.setSliceType(+plane.querySelector("select").value);
      views.push(view);
      canvas.addEventListener("keydown", (event) => step(event, view, canvas));
    }
    panels.querySelectorAll("figure").forEach((figure, i) => {
      figure.hidden = i >= columns.length;
      if (i < columns.length) figure.querySelector("figcaption").textContent =
        columns[i][0] + (columns[i][1] ? "" : ": no mask on record");
    });
    for (const [i, [, mask]] of columns.entries()) await volumes(views[i], item.image, mask);
    for (const view of views) view.broadcastTo(views.filter((v) => v !== view), { "2d": true });
    panels.dataset.shown = `${at}/${rival}`;
  }

  function show() {
    busy = busy.then(draw).catch((error) => {
      said.textContent = `The viewer needs WebGL 2, and said: ${error.message}`;
    });
  }

  document.addEventListener("look", (event) => {
    ({ at, rival } = event.detail);
    chooseCase.querySelector("select").value = at;
    chooseRun.querySelector("select").value = rival;
    show();
    place.scrollIntoView();
  });
  show();
})();

"use strict";
// Fills the page from its data. Names come from outside: they are only ever written as text.
const DATA = JSON.parse(document.getElementById("data").textContent);
// Okabe and Ito's colours, told apart by colour-blind eyes; dashes and shapes say the same again.
const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8a8a8a"];
const DASHES = ["", "7 4", "2 3", "10 3 2 3", "4 2", "1 2"];
const SHAPES = ["circle", "square", "triangle", "diamond"];
const colour = (i) => COLOURS[i % COLOURS.length];
const dash = (i) => DASHES[(i + Math.floor(i / COLOURS.length)) % DASHES.length];

function make(tag, attributes = {}, ...inside) {
  const svg = ["svg", "g", "line", "path", "circle", "text", "title", "polyline"].includes(tag);
  const element = svg
    ? document.createElementNS("http://www.w3.org/2000/svg", tag)
    : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value);
  }
  element.append(...inside);
  return element;
}

function choice(label, options, changed) {
  const select = make("select", { onchange: () => changed(select.value) });
  for (const [value, text] of options) select.append(make("option", { value }, text));
  return make("label", {}, `${label} `, select);
}

function sortTables() {
  for (const table of document.querySelectorAll("table.sortable")) {
    table.querySelectorAll("th").forEach((head, column) => {
      const button = make("button", { type: "button" }, head.textContent);
      button.addEventListener("click", () => {
        const up = head.getAttribute("aria-sort") !== "ascending";
        for (const other of table.querySelectorAll("th")) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", up ? "ascending" : "descending");
        const key = (row) => row.cells[column].textContent.replace(/[,<▲▼]/g, "").trim();
        const rows = [...table.tBodies[0].rows].sort((one, two) => {
          const [a, b] = [parseFloat(key(one)), parseFloat(key(two))];
          if (isNaN(a) !== isNaN(b)) return isNaN(a) ? 1 : -1; // what is not known comes last
          const order = isNaN(a) ? key(one).localeCompare(key(two)) : a - b;
          return up ? order : -order;
        });
        table.tBodies[0].append(...rows);
      });
      head.replaceChildren(button);
    });
  }
}

const WIDTH = 760, HEIGHT = 400, LEFT = 70, BOTTOM = 48, TOP = 14, RIGHT = 18;

function extent(values) {
  const known = values.filter((v) => v !== null && isFinite(v));
  if (!known.length) return null;
  const [low, high] = [Math.min(...known), Math.max(...known)];
  const margin = (high - low || Math.abs(high) || 1) * 0.05;
  return [low - margin, high + margin];
}

function ticks([low, high]) {
  const rough = (high - low) / 5, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough);
  const found = [];
  for (let v = Math.ceil(low / step) * step; v <= high + step * 1e-9; v += step) found.push(v);
  return found.map((v) => parseFloat(v.toPrecision(10)));
}

function chart(label, xs, ys, xTitle, yTitle) {
  const svg = make("svg", {
    class: "chart", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": label,
  });
  const x = (v) => LEFT + ((v - xs[0]) / (xs[1] - xs[0])) * (WIDTH - LEFT - RIGHT);
  const y = (v) => HEIGHT - BOTTOM - ((v - ys[0]) / (ys[1] - ys[0])) * (HEIGHT - TOP - BOTTOM);
  for (const v of ticks(xs)) {
    svg.append(make("line", { class: "grid", x1: x(v), x2: x(v), y1: TOP, y2: HEIGHT - BOTTOM }),
      make("text", { x: x(v), y: HEIGHT - BOTTOM + 18, "text-anchor": "middle" }, String(v)));
  }
  for (const v of ticks(ys)) {
    svg.append(make("line", { class: "grid", x1: LEFT, x2: WIDTH - RIGHT, y1: y(v), y2: y(v) }),
      make("text", { x: LEFT - 8, y: y(v) + 4, "text-anchor": "end" }, String(v)));
  }
  svg.append(
    make("text", { x: (LEFT + WIDTH) / 2, y: HEIGHT - 8, "text-anchor": "middle" }, xTitle),
    make("text", { x: 14, y: HEIGHT / 2, "text-anchor": "middle",
      transform: `rotate(-90 14 ${HEIGHT / 2})` }, yTitle));
  return { svg, x, y };
}

function mark(shape, x, y, r, attributes) {
  const paths = {
    circle: `M${x - r} ${y}a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0`,
    square: `M${x - r} ${y - r}h${2 * r}v${2 * r}h${-2 * r}z`,
    triangle: `M${x} ${y - r}l${r} ${2 * r}h${-2 * r}z`,
    diamond: `M${x} ${y - r}l${r} ${r}l${-r} ${r}l${-r} ${-r}z`,
  };
  return make("path", { d: paths[shape], ...attributes });
}

function legend(names, changed, hidden) {
  return make("div", { class: "legend" }, ...names.map((name, i) => {
    const box = make("input", { type: "checkbox", onchange: () => changed(i, box.checked) });
    box.checked = !hidden.has(i);
    const line = make("svg", { viewBox: "0 0 38 12", "aria-hidden": "true" }, make("line", {
      x1: 0, x2: 38, y1: 6, y2: 6, stroke: colour(i), "stroke-width": 3,
      "stroke-dasharray": dash(i) }));
    return make("label", {}, box, line, name);
  }));
}

function curves(place) {
  const names = Object.keys(DATA.curves);
  if (!names.length) return void place.append(make("p", {}, "No run has a curves.csv."));
  let name = names.includes(DATA.curve) ? DATA.curve : names[0];
  const hidden = new Set();
  const picture = make("div");
  function draw() {
    const lines = DATA.curves[name].filter((line) => !hidden.has(line.group));
    const points = lines.flatMap((line) => line.points);
    const xs = extent(points.map((p) => p[0])), ys = extent(points.map((p) => p[1]));
    if (!xs) return picture.replaceChildren(make("p", {}, "Nothing to show."));
    const { svg, x, y } = chart(`${name} by epoch`, xs, ys, "epoch", name);
    for (const line of lines) {
      svg.append(make("polyline", {
        points: line.points.map(([a, b]) => `${x(a)},${y(b)}`).join(" "), fill: "none",
        stroke: colour(line.group), "stroke-width": 2, "stroke-dasharray": dash(line.group),
      }, make("title", {}, line.name)));
    }
    picture.replaceChildren(svg);
  }
  const controls = make("div", { class: "controls" }, choice("curve",
    [name, ...names.filter((n) => n !== name)].map((n) => [n, n]), (n) => { name = n; draw(); }));
  place.append(controls, picture, legend(DATA.groups, (i, on) => {
    if (on) hidden.delete(i); else hidden.add(i);
    draw();
  }, hidden));
  draw();
}

function scatter(place) {
  if (DATA.groups.length < 2) return;
  const keys = Object.keys(DATA.scores);
  const graded = (k) => DATA.scores[k].columns[0].some((v) => v !== null && v !== 0 && v !== 1);
  let key = keys.find(graded) ?? keys[0], rival = 1, chosen = 0, points = [];
  const picture = make("div"), said = make("p", { class: "said", "aria-live": "polite" });
  function tell() {
    picture.querySelectorAll(".chosen").forEach((p) => p.classList.remove("chosen"));
    const point = points[chosen];
    if (!point) return;
    point.element.classList.add("chosen");
    said.textContent = `${point.name}: ${point.a.toPrecision(4)} by the reference, ` +
      `${point.b.toPrecision(4)} by ${DATA.groups[rival]}` +
      (DATA.cases.some((c) => c.id === point.name) ? " (Enter: look at it)" : "");
  }
  function look() {
    const at = DATA.cases.findIndex((c) => c.id === points[chosen].name);
    if (at >= 0) document.dispatchEvent(new CustomEvent("look", { detail: { at, rival } }));
  }
  function draw() {
    const { title, columns } = DATA.scores[key];
    const pairs = columns[0].map((a, i) => [a, columns[rival][i], DATA.ids[i]])
      .filter(([a, b]) => a !== null && b !== null);
    const both = extent(pairs.flatMap(([a, b]) => [a, b]));
    if (!both) return picture.replaceChildren(make("p", {}, "No case has both values."));
    const { svg, x, y } = chart(`${title}, case by case`, both, both,
      `${title}: ${DATA.groups[0]} (reference)`, DATA.groups[rival]);
    svg.setAttribute("tabindex", "0");
    svg.append(make("line", { class: "axis", x1: x(both[0]), y1: y(both[0]), x2: x(both[1]),
      y2: y(both[1]), "stroke-dasharray": "4 4" }));
    points = pairs.sort((p, q) => Math.abs(q[1] - q[0]) - Math.abs(p[1] - p[0]))
      .map(([a, b, name], i) => {
        const better = DATA.scores[key].higher ? b > a : b < a;
        const shape = a === b ? "circle" : better ? "triangle" : "square";
        const element = mark(shape, x(a), y(b), 5, {
          class: "point", fill: a === b ? "#8a8a8a" : better ? "#009e73" : "#d55e00",
          "fill-opacity": 0.65, onclick: () => { chosen = i; tell(); look(); },
        });
        element.append(make("title", {}, name));
        return { element, name, a, b };
      });
    svg.append(...points.map((p) => p.element).reverse());
    svg.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (step) { chosen = (chosen + step + points.length) % points.length; tell(); }
      else if (event.key === "Enter") look(); else return;
      event.preventDefault();
    });
    chosen = 0;
    picture.replaceChildren(svg);
    tell();
  }
  place.append(make("div", { class: "controls" },
    choice("run", DATA.groups.slice(1).map((n, i) => [i + 1, n]), (v) => { rival = +v; draw(); }),
    choice("score", [key, ...keys.filter((k) => k !== key)].map((k) => [k, DATA.scores[k].title]), (v) => { key = v; draw(); })),
    picture, said, make("p", {}, "▲ better here, ■ worse; on the dashed line both are equal. " +
      "With the picture in focus, arrow keys go from the largest change to the smallest."));
  draw();
}

function pareto(place) {
  const prices = Object.entries(DATA.costs).filter(([, c]) => c.values.some((v) => v !== null));
  if (!prices.length) return void place.append(make("p", {}, "No run says what it cost."));
  let name = prices[0][0];
  const picture = make("div");
  function draw() {
    const { title, values, front } = DATA.costs[name];
    const xs = extent(values), ys = extent(DATA.means);
    if (!ys) return;
    const { svg, x, y } = chart(`score and ${title}`, xs, ys, title, DATA.title);
    const known = DATA.groups.map((_, i) => i).filter(
      (i) => values[i] !== null && DATA.means[i] !== null);
    const best = known.filter((i) => front[i]).sort((a, b) => values[a] - values[b]);
    svg.append(make("polyline", { fill: "none", class: "axis", "stroke-dasharray": "4 4",
      points: best.map((i) => `${x(values[i])},${y(DATA.means[i])}`).join(" ") }));
    for (const i of known) {
      const right = x(values[i]) > WIDTH / 2;
      svg.append(mark(SHAPES[i % SHAPES.length], x(values[i]), y(DATA.means[i]), 7,
        { fill: colour(i), stroke: "currentColor", "stroke-width": front[i] ? 2.5 : 0 }));
      if (known.length <= 14) {
        svg.append(make("text", { x: x(values[i]) + (right ? -12 : 12), y: y(DATA.means[i]) - 8,
          "text-anchor": right ? "end" : "start" }, DATA.groups[i]));
      }
    }
    picture.replaceChildren(svg);
  }
  place.append(make("div", { class: "controls" }, choice("cost",
    prices.map(([key, c]) => [key, c.title]), (v) => { name = v; draw(); })), picture,
    make("p", {}, "Outlined and joined: no other run is both better and cheaper."));
  draw();
}

sortTables();
curves(document.getElementById("curves"));
scatter(document.getElementById("scatter"));
pareto(document.getElementById("pareto"));

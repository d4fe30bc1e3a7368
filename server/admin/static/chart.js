// Lines over the last quarter of an hour.
import { h, num, full } from "./util.js";

const windowSeconds = 900;
const charts = new Set();

// chart draws series {key, label, color (a custom property)} into an element. load
// takes what /api/v1/history says; push adds a point of now.
export function chart(title, series, unit) {
  const box = h("div", { class: "plot" });
  const legend = h("ul", { class: "legend" }, series.map((s) => {
    s.now = h("b", {}, "–");
    return h("li", {}, h("i", { class: "key " + s.color.slice(2) }), s.label, " ", s.now);
  }));
  const rows = h("tbody");
  const asTable = h("details", { class: "twin", ontoggle: () => twin() }, h("summary", {}, "As a table"),
    h("table", {}, h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Time"), series.map((s) => h("th", { scope: "col", class: "num" }, s.label)))), rows));
  const el = h("figure", { class: "chart" }, h("figcaption", {}, h("h2", {}, title), legend), box, asTable);
  const data = [[], ...series.map(() => [])];
  let plot = null;

  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  function make() {
    plot?.destroy();
    const axis = { stroke: css("--muted"), font: "11px system-ui, sans-serif", grid: { stroke: css("--line"), width: 1 }, ticks: { show: false } };
    plot = new uPlot({
      width: Math.max(box.clientWidth, 200), height: 170, legend: { show: false }, cursor: { drag: { x: false, y: false }, points: { size: 6 } },
      scales: { x: { range: () => { const t = data[0].at(-1) ?? Date.now() / 1000; return [t - windowSeconds, t]; } }, y: { range: (u, lo, hi) => [0, Math.max(hi * 1.1, 1)] } },
      axes: [{ ...axis, size: 26, space: 70, values: (u, ticks) => ticks.map((t) => new Date(t * 1000).toTimeString().slice(0, 5)) }, { ...axis, size: 52, space: 36, values: (u, ticks) => ticks.map((t) => num(t)) }],
      series: [{}, ...series.map((s) => ({ stroke: css(s.color), width: 1.75, fill: css(s.color) + "14", points: { show: false } }))],
      hooks: { setCursor: [(u) => values(u.cursor.idx)] },
    }, data, box);
    charts.add(self);
  }

  // values shows the numbers under the pointer, or the newest.
  function values(i) {
    const at = i ?? data[0].length - 1;
    const texts = series.map((s, j) => {
      const v = data[j + 1][at];
      s.now.textContent = v === undefined || v === null ? "–" : num(v) + (unit || "");
      return `${s.label} ${s.now.textContent}`;
    });
    if (i === undefined || i === null) {
      box.setAttribute("role", "img");
      box.setAttribute("aria-label", `${title}, now: ${texts.join(", ")}`);
    }
  }

  function twin() {
    if (!asTable.open) return;
    rows.replaceChildren();
    for (let i = data[0].length - 1, last = Infinity; i >= 0; i--) {
      if (last - data[0][i] < 60) continue;
      last = data[0][i];
      rows.append(h("tr", {}, h("td", {}, new Date(last * 1000).toTimeString().slice(0, 8)), series.map((s, j) => h("td", { class: "num" }, full(data[j + 1][i] ?? 0)))));
    }
  }

  function show() {
    const old = (data[0].at(-1) ?? 0) - windowSeconds;
    while (data[0].length && data[0][0] < old) data.forEach((d) => d.shift());
    if (!plot && box.isConnected) make();
    plot?.setData(data);
    if (plot?.cursor.idx === null || plot?.cursor.idx === undefined || plot.cursor.left < 0) values();
  }

  const self = {
    el,
    load(history) {
      const n = history.in.length;
      data.forEach((d) => { d.length = 0; });
      for (let i = 0; i < n; i++) {
        data[0].push((history.at - (n - 1 - i) * history.step) / 1000);
        series.forEach((s, j) => data[j + 1].push(history[s.key][i]));
      }
      show();
    },
    push(at, row) {
      const t = at / 1000;
      if (data[0].length && t - data[0].at(-1) < 0.9) return;
      data[0].push(t);
      series.forEach((s, j) => data[j + 1].push(row[s.key]));
      show();
    },
    again() { if (box.isConnected) { if (plot) make(); } else { plot?.destroy(); charts.delete(self); } },
    fit() { if (box.isConnected && plot) plot.setSize({ width: Math.max(box.clientWidth, 200), height: 170 }); },
  };
  return self;
}

// redraw draws all charts in the colours of a new theme.
export function redraw() {
  for (const c of charts) c.again();
}

addEventListener("resize", () => { for (const c of charts) c.fit(); });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);

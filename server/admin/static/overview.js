// How everything is, at a glance.
import { h, api, num, rate, full, span, spark, path, plural } from "./util.js";
import { live, rows, cluster } from "./live.js";
import { publish, may } from "./actions.js";
import { button } from "./ui.js";

const seconds = 180;

export function overview() {
  const tiles = [
    tile("Published", "in", (c) => [rate(c.in), `${num(c.published)} since start`]),
    tile("Finished", "out", (c) => [rate(c.out), `${num(c.finished)} since start`]),
    tile("Depth", "depth", (c) => [num(c.depth), c.disk ? `${num(c.disk)} on disk` : "waiting messages"]),
    tile("In flight", "in_flight", (c) => [num(c.in_flight), `${plural(c.consumers, "consumer")}, ${num(c.deferred)} deferred`]),
    tile("Requeued, timed out", "trouble", (c) => [rate(c.requeue + c.timeout), `${rate(c.requeue)} and ${rate(c.timeout)}`]),
  ];
  const attention = h("ul", { class: "attention" });
  const deep = h("ol", { class: "top" }), fast = h("ol", { class: "top" });
  const curl = h("pre", { tabindex: "0" });
  const welcome = h("section", { class: "card welcome", hidden: true }, h("h2", {}, "Nothing here yet"),
    h("p", {}, "Publish a first message; the topic is made by it:"), curl,
    may() ? h("p", {}, button("Publish from here…", () => publish(""), "primary")) : null);
  let at = 0;

  api("api/v1/history").then((s) => {
    for (const t of tiles) t.load(t.key === "trouble" ? s.requeue.map((v, i) => v + s.timeout[i]) : s[t.key]);
  }).catch(() => {});

  return {
    title: "Overview", tables: ["topics", "nodes"],
    el: [h("h1", { class: "hidden" }, "Overview"), h("div", { class: "tiles" }, tiles.map((t) => t.el)), welcome,
      h("div", { class: "columns" },
        h("section", { class: "card" }, h("h2", {}, "Needs attention"), attention),
        h("section", { class: "card" }, h("h2", {}, "Deepest topics"), deep),
        h("section", { class: "card" }, h("h2", {}, "Busiest topics ", h("small", { class: "muted" }, "per second")), fast))],
    update() {
      const c = cluster();
      if (!c) return;
      const step = live.at - at >= 4500;
      for (const t of tiles) t.update(c, step);
      if (step) at = live.at;
      attend(attention);
      const all = rows("topics");
      const first = rows("nodes").find((n) => !n.error);
      welcome.hidden = all.length > 0 || !first;
      if (first) curl.textContent = `curl -d 'hello world 1' 'http://${first.node}/pub?topic=test'`;
      bars(deep, all.filter((t) => t.depth > 0).sort((a, b) => b.depth - a.depth), (t) => t.depth, num, "Nothing waits.");
      bars(fast, all.filter((t) => t.in + t.out > 0).sort((a, b) => b.in + b.out - a.in - a.out), (t) => t.in + t.out, (v, t) => `${num(t.in)} in, ${num(t.out)} out`, "Nothing moves.");
    },
  };
}

function tile(label, key, texts) {
  const value = h("b", {}, "–"), note = h("small", {}, ""), line = h("div", { class: "spark c-" + key });
  const points = [];
  return {
    key, el: h("section", { class: "tile" }, h("h2", {}, label), value, note, line),
    load(values) { points.splice(0, points.length, ...values.slice(-seconds)); spark(line, points); },
    update(c, step) {
      const v = key === "trouble" ? c.requeue + c.timeout : c[key];
      const [text, more] = texts(c);
      value.textContent = text;
      value.title = full(v);
      note.textContent = more;
      if (step) {
        points.push(v);
        if (points.length > seconds) points.shift();
        spark(line, points);
      }
    },
  };
}

const levels = { bad: "trouble", warn: "attention", note: "note" };

// attend lists what a person should look at.
export function attend(list) {
  const order = { bad: 0, warn: 1, note: 2 };
  const all = rows("attention").sort((a, b) => order[a.level] - order[b.level] || a.since - b.since);
  list.replaceChildren(...all.slice(0, 30).map((a) => {
    const where = a.channel ? `${a.topic} / ${a.channel}` : a.topic || a.node || "cluster";
    const to = a.channel ? "topics/" + path(a.topic, a.channel) : a.topic ? "topics/" + path(a.topic) : a.node ? "nodes/" + path(a.node) : "nodes";
    return h("li", { class: a.level }, h("i", { class: "dot" }), h("span", { class: "hidden" }, levels[a.level] + ": "), h("span", {}, h("a", { class: "open", href: to }, where), " ", a.text.replace(/(?<![:.\d])\d{4,}(?![:.\d])/g, (n) => full(+n))), h("small", { class: "muted" }, span(live.at - a.since)));
  }));
  if (!all.length) list.append(h("li", { class: "fine" }, h("i", { class: "dot" }), h("span", {}, "All is well.")));
}

function bars(list, all, value, text, none) {
  const top = all.slice(0, 10), most = Math.max(...top.map(value), 1e-9);
  while (list.children.length > top.length || list.firstChild?.className === "fine") list.lastChild.remove();
  top.forEach((t, i) => {
    let li = list.children[i];
    if (!li) {
      li = h("li", {}, h("a", { class: "open" }), h("span", { class: "bar" }, h("i")), h("b"));
      list.append(li);
    }
    const [a, bar, b] = li.children;
    a.href = "topics/" + path(t.topic);
    a.textContent = t.topic;
    bar.firstChild.style.width = (100 * value(t)) / most + "%";
    b.textContent = text(value(t), t);
    b.title = full(value(t));
  });
  if (!top.length) list.replaceChildren(h("li", { class: "fine" }, none));
}

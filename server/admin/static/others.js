// Lookup, live tail, config, counter, about.
import { h, api, act, full, rate, query, span, when, save } from "./util.js";
import { live, rows, cluster } from "./live.js";
import { button, failed, grow, head, ofTopic, pill, table, toast } from "./ui.js";
import { create, forget, may, me, unregister } from "./actions.js";
import { decode } from "./peek.js";

export function lookup() {
  const box = h("div");
  const list = table({
    id: "lookup", label: "registrations", sort: "topic", down: false, key: (r) => r.topic + "/" + r.channel, empty: "Nothing is registered.",
    columns: [
      ofTopic,
      { key: "channel", label: "Channel", value: (r) => r.channel || "–" },
      { key: "who", label: "Nodes", value: (r) => r.nodes.join(" "), cell: (r) => (r.nodes.length ? r.nodes.map((n) => pill(n)) : pill("none has it", "warn")) },
      { key: "known", label: "Known to", value: (r) => r.known.join(" "), cell: (r) => r.known.map((l) => pill(l, r.agree ? "ok" : "warn")) },
      { key: "state", label: "State", value: (r) => (r.agree ? "agreed" : "lookupds differ"), cell: (r) => [pill(r.agree ? "agreed" : "lookupds differ", r.agree ? "ok" : "warn"), ...r.tombs.map((t) => pill(t, "warn"))] },
      { key: "do", label: "Do", mark: (r) => r.known.join() + r.nodes, cell: (r) => (may() ? [button("Remove…", () => unregister(r), "quiet small"), r.nodes.length || r.channel ? "" : button("Forget…", () => forget(r.topic), "quiet small")] : "") },
    ],
  });
  let asked = 0;
  async function ask() {
    try {
      const answer = await api("api/v1/lookup");
      const good = answer.lookupds.filter((l) => !l.error);
      const all = new Map();
      for (const l of good) for (const [key, who] of Object.entries(l.registrations)) {
        const [kind, topic, channel] = key.split(":");
        if (kind === "client") continue;
        const k = topic + "/" + channel;
        if (!all.has(k)) all.set(k, { topic, channel, nodes: [], known: [], tombs: [], by: {} });
        const r = all.get(k);
        r.known.push(l.lookupd);
        r.by[l.lookupd] = (who || []).map((w) => `${w.broadcast_address}:${w.http_port}`).sort().join(",");
        for (const w of who || []) {
          const n = `${w.broadcast_address}:${w.http_port}`;
          if (!r.nodes.includes(n)) r.nodes.push(n);
          if (w.tombstoned) r.tombs.push(`${n}: tombstoned ${span(answer.now - w.tombstoned_at / 1e6)} ago`);
        }
      }
      for (const r of all.values()) r.agree = r.known.length === good.length && new Set(Object.values(r.by)).size <= 1;
      list.update([...all.values()]);
      box.replaceChildren(h("ul", { class: "chips" }, answer.lookupds.map((l) => h("li", {}, pill(l.error ? "no answer" : "ok", l.error ? "bad" : "ok"), h("code", {}, l.lookupd), l.error ? h("span", { class: "muted" }, l.error) : ""))));
      if (!answer.lookupds.length) box.replaceChildren(h("p", { class: "hint" }, "No nsqlookupd is asked; the nsqds were named one by one."));
    } catch (err) { box.replaceChildren(h("p", { class: "hint" }, err.message)); }
  }
  return {
    title: "Lookup", tables: ["nodes"],
    el: [head("Lookup", grow(), may() ? button("New topic or channel…", () => create("", rows("nodes").map((n) => n.node)), "primary") : null), box, list.el],
    update() { if (live.at - asked >= 2900) { asked = live.at; ask(); } },
  };
}

const tailMost = 300, tailPerSecond = 50;

export function tail() {
  const start = new URLSearchParams(location.search).get("topic") || "";
  const pick = h("select", { id: "tail-topic", onchange: () => open(pick.value) });
  const list = h("ol", { class: "tail", "aria-label": "messages" });
  const note = h("span", { class: "muted", role: "status" });
  const hold = button("Hold", () => { held = !held; hold.textContent = held ? "Go on" : "Hold"; });
  let sources = [], held = false, seen = 0, skipped = 0, second = 0, inSecond = 0, topic = start, names = "";

  function open(name) {
    for (const s of sources) s.close();
    sources = [];
    topic = name;
    seen = skipped = 0;
    list.replaceChildren();
    history.replaceState(null, "", "live" + query({ topic }));
    for (const n of live.tables.topics.get(name)?.nodes || []) {
      if (!n.lite) { note.textContent = `${n.node} is an nsqd, which has no tap.`; continue; }
      const s = new EventSource("api/v1/tap" + query({ topic: name, node: n.node }));
      s.onmessage = (e) => got(JSON.parse(e.data), n.node);
      s.addEventListener("lost", (e) => { skipped += JSON.parse(e.data).lost; });
      sources.push(s);
    }
    say();
  }

  function got(m, node) {
    seen++;
    const now = Math.floor(performance.now() / 1000);
    if (now !== second) { second = now; inSecond = 0; }
    if (held || ++inSecond > tailPerSecond) { skipped++; return; }
    const { text, raw } = decode(m);
    list.prepend(h("li", {}, h("time", { title: when(m.timestamp / 1e6) }, new Date(m.timestamp / 1e6).toTimeString().slice(0, 8)), sources.length > 1 ? h("small", { class: "muted" }, node) : null, h("code", {}, text === null ? `${raw.length} bytes` : text.slice(0, 2000))));
    while (list.children.length > tailMost) list.lastChild.remove();
  }

  const say = () => { note.textContent = topic ? `${full(seen)} seen${skipped ? `, ${full(skipped)} not shown` : ""}` : ""; };
  return {
    title: "Live tail", tables: ["topics"],
    el: [head("Live tail"), h("p", { class: "muted" }, "What is published from now on. It is no channel: nothing is consumed, and nothing waits for it."),
      h("div", { class: "tools" }, h("label", { for: "tail-topic" }, "Topic"), pick, hold, note), list],
    gone() { for (const s of sources) s.close(); },
    update() {
      const all = rows("topics").filter((t) => t.nodes.length).map((t) => t.topic).sort();
      if (all.join() !== names) {
        names = all.join();
        pick.replaceChildren(h("option", { value: "" }, all.length ? "choose one" : "there is none yet"), ...all.map((t) => h("option", { selected: t === topic }, t)));
        if (topic && !sources.length && all.includes(topic)) open(topic);
      }
      say();
    },
  };
}

const levels = ["debug", "info", "warn", "error", "fatal"];

export function config() {
  const pick = h("select", { id: "config-node", onchange: () => load(pick.value) });
  const level = h("select", { id: "config-level", onchange: async () => { try { await act({ action: "log_level", nodes: [pick.value], to: level.value }); toast(`The log level of ${pick.value} is ${level.value}`); } catch (err) { failed(err); } } }, levels.map((l) => h("option", {}, l)));
  let options = [], names = "";
  const list = table({
    id: "config", label: "options", sort: "name", down: false, key: (o) => o.name,
    tools: button("TOML", () => save("nsqd.toml", options.map((o) => `${o.value === null ? "# " : ""}${o.name} = ${toml(o)}`).join("\n") + "\n", "text/plain"), "quiet small"),
    columns: [
      { key: "name", label: "Option", value: (o) => o.name, cell: (o) => h("code", {}, o.name) },
      { key: "value", label: "Value", value: (o) => JSON.stringify(o.value), cell: (o) => h("code", {}, people(o)), title: (o) => JSON.stringify(o.value) },
      { key: "source", label: "From", value: (o) => o.source || "–", cell: (o) => (o.source && o.source !== "default" ? pill(o.source, "ok") : h("span", { class: "muted" }, o.source || "–")) },
    ],
  });
  const time = (o) => /(timeout|interval|window_time|_age)$/.test(o.name) && typeof o.value === "number";
  const people = (o) => (time(o) ? (o.value ? span(o.value / 1e6) : "0") : o.value === "" ? '""' : typeof o.value === "string" ? o.value : JSON.stringify(o.value));
  const toml = (o) => (time(o) ? `"${o.value / 1e6}ms"` : JSON.stringify(o.value));
  async function load(node) {
    if (!node) return;
    try {
      options = (await api("api/v1/config" + query({ node }))).options || [];
      const l = options.find((o) => o.name === "log_level");
      level.disabled = !l || !may();
      if (l) level.value = levels[l.value - 1];
      list.update(options);
    } catch (err) { failed(err); }
  }
  return {
    title: "Config", tables: ["nodes"],
    el: [head("Config"), h("div", { class: "tools" }, h("label", { for: "config-node" }, "Node"), pick, h("label", { for: "config-level" }, "Log level"), level), list.el],
    update() {
      const all = rows("nodes").map((n) => n.node).sort();
      if (all.join() === names) return;
      names = all.join();
      pick.replaceChildren(...all.map((n) => h("option", {}, n)));
      load(pick.value);
    },
  };
}

export function counter() {
  const big = h("output", { class: "odometer" }, "–"), out = h("span", {}), into = h("span", {});
  let shown = 0, target = 0, from = 0, began = 0;
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  function step(now) {
    const part = Math.min((now - began) / 1000, 1);
    shown = from + (target - from) * part;
    big.textContent = full(Math.round(shown));
    if (part < 1 && big.isConnected) requestAnimationFrame(step);
  }
  return {
    title: "Counter", tables: [],
    el: [head("Counter"), h("section", { class: "card counter" }, big, h("p", {}, "messages finished since the servers started, each once per channel"), h("p", { class: "muted" }, into, " in, ", out, " finished"))],
    update() {
      const c = cluster();
      if (!c) return;
      into.textContent = rate(c.in);
      out.textContent = rate(c.out);
      if (c.finished === target && big.textContent !== "–") return;
      from = still || big.textContent === "–" ? c.finished : shown;
      target = c.finished;
      began = performance.now();
      requestAnimationFrame(step);
    },
  };
}

export function about() {
  const a = me.about;
  const routes = [["api/topics", "topics, as nsqadmin has them"], ["api/nodes", "nodes, the same"], ["api/counter", "counters, the same"], ["api/v1/rows", "everything that these pages show"], ["api/v1/history", "the last quarter of an hour"], ["api/v1/about", "this"]];
  const where = h("ul");
  return {
    title: "About", tables: ["nodes"],
    el: [head("About"),
      h("section", { class: "card" }, h("h2", {}, `nsqd-lite ${a.lite || ""}`), h("p", {}, `Speaks as NSQ ${a.version || ""}. ${a.read_only ? "This page only shows." : a.may ? "You may change things here." : "You may look; changing is for others."}${a.user ? ` You are ${a.user}.` : ""}`),
        h("dl", { class: "pairs" }, [["nsqlookupds", a.lookupds.join(", ")], ["nsqds", a.nsqds.join(", ")]].filter(([, v]) => v).map(([k, v]) => h("div", {}, h("dt", {}, k), h("dd", {}, v))))),
      h("section", { class: "card" }, h("h2", {}, "For programs"), h("ul", {}, routes.map(([p, what]) => h("li", {}, h("a", { href: p, target: "_blank", rel: "noopener" }, "/" + p), " ", h("span", { class: "muted" }, what)))), h("p", {}, "Each node has figures for Prometheus:"), where),
      h("section", { class: "card" }, h("h2", {}, "Licences"), h("p", {}, "nsqd-lite and uPlot 1.6.32, which draws the charts, are under the MIT licence. ", h("a", { href: "static/uPlot-LICENSE.txt", target: "_blank", rel: "noopener" }, "uPlot's"), "."))],
    update() {
      where.replaceChildren(...rows("nodes").filter((n) => n.lite).map((n) => h("li", {}, h("a", { href: `http://${n.node}/metrics`, target: "_blank", rel: "noopener" }, `${n.node}/metrics`), ", ", h("a", { href: `http://${n.node}/debug/pprof/`, target: "_blank", rel: "noopener" }, "pprof"))));
    },
  };
}

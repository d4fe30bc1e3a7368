// All topics, and one of them.
import { h, api, go, num, rate, full, bytes, span, path, query } from "./util.js";
import { live, rows } from "./live.js";
import { table, facts, pill } from "./ui.js";
import { chart } from "./chart.js";
import { create, lose, may, pause, publish, tombstone } from "./actions.js";
import { openPeek } from "./peek.js";

// split is a bar of how much of a depth is on disk.
export function split(depth, disk) {
  const bar = h("span", { class: depth ? "split" : "split none", title: `${full(depth - disk)} in memory, ${full(disk)} on disk` }, h("i"));
  bar.firstChild.style.width = (depth ? (100 * disk) / depth : 0) + "%";
  return [h("span", {}, num(depth), " ", bar)];
}

const age = (ms) => (ms ? span(live.at - ms) : "–");

const state = (t) => {
  if (t.paused) return [t.paused < t.nodes.length ? `paused on ${t.paused}` : "paused", "warn"];
  if (!t.nodes.length) return ["known only", ""];
  if (!t.channel && t.waiting && !t.channels) return ["no channel", "warn"];
  if (t.depth > 0 && !t.consumers) return ["no consumer", "warn"];
  for (const a of live.tables.attention.values()) if (a.level !== "note" && a.topic === t.topic && (!t.channel || a.channel === t.channel)) return ["attention", "warn"];
  return ["ok", "ok"];
};

export function topics() {
  const ephemeral = h("input", { type: "checkbox" });
  const list = table({
    id: "topics", label: "topics", sort: "topic", down: false, key: (t) => t.topic,
    empty: "There is no topic yet. The first message makes one.",
    tools: h("label", { class: "check" }, ephemeral, "hide ephemeral"),
    columns: [
      { key: "topic", label: "Topic", value: (t) => t.topic, cell: (t) => h("a", { class: "open", href: "topics/" + path(t.topic) }, t.topic) },
      { key: "in", label: "In /s", num: true, value: (t) => t.in },
      { key: "out", label: "Out /s", num: true, value: (t) => t.out },
      { key: "depth", label: "Depth", num: true, value: (t) => t.depth, mark: (t) => t.depth + "," + t.disk, cell: (t) => split(t.depth, t.disk) },
      { key: "in_flight", label: "In flight", num: true, value: (t) => t.in_flight },
      { key: "deferred", label: "Deferred", num: true, value: (t) => t.deferred, hide: true },
      { key: "oldest", label: "Oldest", num: true, value: (t) => (t.oldest ? live.at - t.oldest : 0), mark: (t) => age(t.oldest), cell: (t) => age(t.oldest), title: () => "age of the oldest waiting message" },
      { key: "channels", label: "Channels", num: true, value: (t) => t.channels },
      { key: "consumers", label: "Consumers", num: true, value: (t) => t.consumers },
      { key: "p99", label: "p99", num: true, value: (t) => t.p99, cell: (t) => (t.p99 ? span(t.p99) : "–"), title: () => "from publish to finish; needs --e2e-processing-latency-percentile", hide: true },
      { key: "messages", label: "Messages", num: true, value: (t) => t.messages },
      { key: "timeouts", label: "Timeouts", num: true, value: (t) => t.timeouts, hide: true },
      { key: "requeues", label: "Requeues", num: true, value: (t) => t.requeues, hide: true },
      { key: "size", label: "On disk", num: true, value: (t) => t.journal, cell: (t) => bytes(t.journal), hide: true },
      { key: "state", label: "State", value: (t) => state(t)[0], cell: (t) => pill(...state(t)) },
    ],
  });
  const self = {
    title: "Topics", tables: ["topics", "nodes"],
    el: [h("div", { class: "head" }, h("h1", {}, "Topics"), h("span", { class: "grow" }), may() ? h("button", { type: "button", class: "primary", onclick: () => create("", rows("nodes").map((n) => n.node)) }, "New topic…") : null), list.el],
    update() { list.update(rows("topics").filter((t) => !ephemeral.checked || !t.topic.endsWith("#ephemeral"))); },
  };
  ephemeral.addEventListener("change", self.update);
  return self;
}

const byNode = (pause, away) => [
  { key: "node", label: "Node", value: (n) => n.node, cell: (n) => h("a", { href: "nodes/" + path(n.node) }, n.node) },
  { key: "in", label: "In /s", num: true, value: (n) => n.in },
  { key: "depth", label: "Depth", num: true, value: (n) => n.depth, mark: (n) => n.depth + "," + n.disk, cell: (n) => split(n.depth, n.disk) },
  { key: "messages", label: "Messages", num: true, value: (n) => n.messages },
  { key: "channels", label: "Channels", num: true, value: (n) => n.channels },
  { key: "state", label: "State", value: (n) => (n.hidden ? "tombstoned" : n.paused ? "paused" : "ok"), cell: (n) => pill(n.hidden ? "tombstoned" : n.paused ? "paused" : "ok", n.hidden || n.paused ? "warn" : "ok") },
  { key: "do", label: "Do", cell: (n) => (may() ? [h("button", { type: "button", class: "quiet small", onclick: () => pause(n) }, n.paused ? "Go on" : "Pause"), h("button", { type: "button", class: "quiet small", onclick: () => away(n) }, "Tombstone…")] : []), mark: (n) => n.paused },
];

export function topic(name) {
  const what = { topic: name };
  let t = null, waitingFor = "";
  const sum = facts("Depth", "In", "Out", "In flight", "Deferred", "Oldest", "Messages", "On disk");
  const flow = chart("Messages per second", [{ key: "in", label: "in", color: "--in" }, { key: "out", label: "finished", color: "--out" }], "/s");
  const depth = chart("Depth and in flight", [{ key: "depth", label: "depth", color: "--depth" }, { key: "in_flight", label: "in flight", color: "--flight" }]);
  const trend = {};
  const channels = table({
    id: "channels", label: "channels of " + name, sort: "channel", down: false, key: (c) => c.channel, filter: true, empty: "There is no channel.",
    columns: [
      { key: "channel", label: "Channel", value: (c) => c.channel, cell: (c) => h("a", { class: "open", href: "topics/" + path(name, c.channel) }, c.channel) },
      { key: "depth", label: "Depth", num: true, value: (c) => c.depth, mark: (c) => c.depth + "," + c.disk + arrow(c), cell: (c) => [arrow(c), " ", ...split(c.depth, c.disk)] },
      { key: "in_flight", label: "In flight", num: true, value: (c) => c.in_flight },
      { key: "deferred", label: "Deferred", num: true, value: (c) => c.deferred },
      { key: "out", label: "Finished /s", num: true, value: (c) => c.out },
      { key: "requeues", label: "Requeues", num: true, value: (c) => c.requeues },
      { key: "timeouts", label: "Timeouts", num: true, value: (c) => c.timeouts },
      { key: "messages", label: "Messages", num: true, value: (c) => c.messages },
      { key: "oldest", label: "Oldest", num: true, value: (c) => (c.oldest ? live.at - c.oldest : 0), mark: (c) => age(c.oldest), cell: (c) => age(c.oldest) },
      { key: "p99", label: "p99", num: true, value: (c) => c.p99, cell: (c) => (c.p99 ? span(c.p99) : "–"), hide: true },
      { key: "consumers", label: "Consumers", num: true, value: (c) => c.consumers },
      { key: "state", label: "State", value: (c) => state(c)[0], cell: (c) => pill(...state(c)) },
    ],
  });
  // arrow says whether a depth has grown or shrunk over the last seconds.
  function arrow(c) {
    const old = trend[c.channel];
    return !old || c.depth === old.depth ? "" : c.depth > old.depth ? "↗" : "↘";
  }
  const nodes = table({ id: "topic-nodes", label: "nodes of " + name, sort: "node", down: false, filter: false, key: (n) => n.node, columns: byNode((n) => pause(what, !n.paused, [n.node]), (n) => tombstone(name, n.node, n.depth)) });
  const pauseButton = h("button", { type: "button", onclick: () => self.pause() }, "Pause");
  const first = h("p", { class: "hint", hidden: true }, "Messages wait here; the first channel will receive them all.");
  const missing = h("p", { class: "hint", hidden: true }, "No nsqd has this topic. It may be known to nsqlookupds, or the first message will make it.");
  const marks = h("span", { class: "marks" });
  const deleteButton = h("button", { type: "button", class: "danger", onclick: () => lose({ ...what, do: "delete" }, t, () => go("topics")) });
  const emptyButton = h("button", { type: "button", class: "danger", onclick: () => lose({ ...what, do: "empty" }, { ...t, depth: t.waiting, in_flight: 0, deferred: 0 }) });
  api("api/v1/history" + query(what)).then((s) => { flow.load(s); depth.load(s); }).catch(() => {});

  const self = {
    title: name, tables: ["topics", "channels", "nodes"], filter: what,
    el: [
      h("nav", { class: "crumbs", "aria-label": "Where this is" }, h("a", { href: "topics" }, "Topics"), " / "),
      h("div", { class: "head" }, h("h1", {}, name), marks, h("span", { class: "grow" }),
        h("button", { type: "button", onclick: () => openPeek(what) }, "Peek"),
        h("a", { class: "button", href: "live" + query(what) }, "Follow"),
        may() ? [h("button", { type: "button", onclick: () => publish(name, t?.nodes.map((n) => n.node)) }, "Publish…"), pauseButton] : null),
      missing, first, sum.el, h("div", { class: "charts" }, flow.el, depth.el),
      h("section", {}, h("div", { class: "head" }, h("h2", {}, "Channels"), h("span", { class: "grow" }), may() ? h("button", { type: "button", class: "quiet", onclick: () => create(name, t?.nodes.map((n) => n.node)) }, "New channel…") : null), channels.el),
      h("details", { class: "fold" }, h("summary", {}, h("h2", {}, "By node")), nodes.el),
      may() ? h("details", { class: "fold danger-fold" }, h("summary", {}, h("h2", {}, "Danger")), h("p", { class: "muted" }, "Each asks first, and says what will be lost."), h("div", { class: "row" }, emptyButton, deleteButton)) : null,
    ],
    pause() { if (t && may()) pause(what, !t.paused); },
    update() {
      t = live.tables.topics.get(name);
      missing.hidden = !live.at || !!t?.nodes.length;
      if (!t) return;
      sum.update([num(t.depth), full(t.depth)], rate(t.in), rate(t.out), [num(t.in_flight), full(t.in_flight)], [num(t.deferred), full(t.deferred)], age(t.oldest), [num(t.messages), full(t.messages)], bytes(t.journal));
      flow.push(live.at, t);
      depth.push(live.at, t);
      const list = rows("channels");
      if (waitingFor !== Math.floor(live.at / 10000)) {
        waitingFor = Math.floor(live.at / 10000);
        for (const c of list) { trend[c.channel] = trend[c.channel + " "] || c; trend[c.channel + " "] = c; }
      }
      channels.update(list);
      nodes.update(t.nodes);
      first.hidden = !t.nodes.length || t.channels > 0;
      pauseButton.textContent = t.paused ? "Go on" : "Pause";
      marks.replaceChildren(...(t.paused || !t.nodes.length ? [pill(...state(t))] : []));
      deleteButton.textContent = `Delete topic ${name}…`;
      emptyButton.textContent = `Empty topic: drop ${full(t.waiting)} that no channel has…`;
      emptyButton.disabled = !t.waiting;
    },
  };
  return self;
}

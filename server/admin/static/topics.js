// All topics, and one of them.
import { h, api, go, num, rate, full, bytes, span, query } from "./util.js";
import { live, rows } from "./live.js";
import { button, crumbs, depths, facts, figure, grow, head, ofChannel, ofNode, ofTopic, pill, running, states, table } from "./ui.js";
import { chart } from "./chart.js";
import { create, danger, lose, may, origin, pause, publish, replay, tombstone } from "./actions.js";
import { openPeek } from "./peek.js";

const age = (ms) => (ms ? span(live.at - ms) : "–");

const oldest = { ...figure("oldest", "Oldest"), value: (r) => (r.oldest ? live.at - r.oldest : 0), mark: (r) => age(r.oldest), cell: (r) => age(r.oldest), title: () => "age of the oldest waiting message" };
const p99 = { ...figure("p99", "p99", true), cell: (r) => (r.p99 ? span(r.p99) : "–"), title: () => "from publish to finish; needs --e2e-processing-latency-percentile" };

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
      ofTopic,
      figure("in", "In /s"),
      figure("out", "Out /s"),
      depths(),
      figure("in_flight", "In flight"),
      figure("deferred", "Deferred", true),
      oldest,
      figure("channels", "Channels"),
      figure("consumers", "Consumers"),
      p99,
      figure("messages", "Messages"),
      figure("timeouts", "Timeouts", true),
      figure("requeues", "Requeues", true),
      { ...figure("journal", "On disk", true), cell: (t) => bytes(t.journal) },
      states(state),
    ],
  });
  const self = {
    title: "Topics", tables: ["topics", "nodes"],
    el: [head("Topics", grow(), may() ? button("New topic…", () => create("", rows("nodes").map((n) => n.node)), "primary") : null), list.el],
    update() { list.update(rows("topics").filter((t) => !ephemeral.checked || !t.topic.endsWith("#ephemeral"))); },
  };
  ephemeral.addEventListener("change", self.update);
  return self;
}

const byNode = (pause, away) => [
  ofNode,
  figure("in", "In /s"),
  depths(),
  figure("messages", "Messages"),
  figure("channels", "Channels"),
  states(running),
  { key: "do", label: "Do", cell: (n) => (may() ? [button(n.paused ? "Go on" : "Pause", () => pause(n), "quiet small"), button("Tombstone…", () => away(n), "quiet small")] : []), mark: (n) => n.paused },
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
      ofChannel,
      depths(arrow),
      figure("in_flight", "In flight"),
      figure("deferred", "Deferred"),
      figure("out", "Finished /s"),
      figure("requeues", "Requeues"),
      figure("timeouts", "Timeouts"),
      figure("messages", "Messages"),
      oldest,
      p99,
      figure("consumers", "Consumers"),
      states(state),
    ],
  });
  // arrow says whether a depth has grown or shrunk over the last seconds.
  function arrow(c) {
    const old = trend[c.channel];
    return !old || c.depth === old.depth ? "" : c.depth > old.depth ? "↗" : "↘";
  }
  const nodes = table({ id: "topic-nodes", label: "nodes of " + name, sort: "node", down: false, filter: false, key: (n) => n.node, columns: byNode((n) => pause(what, !n.paused, [n.node]), (n) => tombstone(name, n.node, n.depth)) });
  const pauseButton = button("Pause", () => self.pause());
  const first = h("p", { class: "hint", hidden: true }, "Messages wait here; the first channel will receive them all.");
  const missing = h("p", { class: "hint", hidden: true }, "No nsqd has this topic. It may be known to nsqlookupds, or the first message will make it.");
  const marks = h("span", { class: "marks" });
  const deleteButton = button(`Delete topic ${name}…`, () => lose({ ...what, do: "delete" }, t, () => go("topics")), "danger");
  const dead = origin(name);
  const emptyButton = button("", () => lose({ ...what, do: dead ? "discard" : "empty" }, dead ? t : { ...t, depth: t.waiting, in_flight: 0, deferred: 0 }), "danger");
  const replayButton = button("Replay all…", () => replay(t));
  api("api/v1/history" + query(what)).then((s) => { flow.load(s); depth.load(s); }).catch(() => {});

  const self = {
    title: name, tables: ["topics", "channels", "nodes"], filter: what,
    el: [
      crumbs(["Topics", "topics"]),
      head(name, marks, grow(), button("Peek", () => openPeek(what)), h("a", { class: "button", href: "live" + query(what) }, "Follow"),
        may() ? [dead ? replayButton : null, button("Publish…", () => publish(name, t?.nodes.map((n) => n.node))), pauseButton] : null),
      missing, first, sum.el, h("div", { class: "charts" }, flow.el, depth.el),
      h("section", {}, h("div", { class: "head" }, h("h2", {}, "Channels"), grow(), may() ? button("New channel…", () => create(name, t?.nodes.map((n) => n.node)), "quiet") : null), channels.el),
      h("details", { class: "fold" }, h("summary", {}, h("h2", {}, "By node")), nodes.el),
      danger(emptyButton, deleteButton),
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
      const n = dead ? t.depth + t.in_flight + t.deferred : t.waiting;
      emptyButton.textContent = dead ? `Discard all: drop ${full(n)} here and in channels…` : `Empty topic: drop ${full(n)} that no channel has…`;
      emptyButton.disabled = !n;
      replayButton.disabled = !t.waiting;
      replayButton.title = t.waiting ? "" : "Nothing waits outside of channels";
    },
  };
  return self;
}

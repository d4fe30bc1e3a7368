// Nodes, one of them, and who is connected.
import { h, num, rate, full, bytes, span, when, path } from "./util.js";
import { live, rows } from "./live.js";
import { button, crumbs, facts, figure, head, ofNode, ofTopic, pill, running, states, table } from "./ui.js";
import { closeClient, may, tombstone } from "./actions.js";

const well = (n) => (n.error ? ["no answer", "bad"] : n.health !== "OK" ? [n.health.slice(0, 60), "bad"] : n.old ? ["old version", "warn"] : ["ok", "ok"]);
const disk = (n) => (n.disk_total ? `${bytes(n.disk_free)} free` : "–");
const links = (n) => n.lookupds.length;

export function nodes() {
  const list = table({
    id: "nodes", label: "nodes", sort: "node", down: false, key: (n) => n.node, empty: "No nsqd is known.",
    columns: [
      ofNode,
      { key: "host", label: "Host", value: (n) => n.host, hide: true },
      { key: "health", label: "Health", value: (n) => well(n)[0], cell: (n) => pill(...well(n)), title: (n) => n.error || n.health },
      { key: "version", label: "Version", value: (n) => (n.lite ? `${n.version} (lite ${n.lite})` : n.version) },
      figure("in", "In /s"),
      figure("out", "Out /s"),
      figure("depth", "Depth"),
      figure("topics", "Topics"),
      figure("clients", "Consumers"),
      { ...figure("heap", "Heap"), cell: (n) => bytes(n.heap) },
      { key: "disk", label: "Disk", num: true, value: (n) => n.disk_free, cell: disk },
      { key: "up", label: "Up", num: true, value: (n) => (n.start ? live.at - n.start : 0), mark: (n) => span(live.at - n.start), cell: (n) => (n.start ? span(live.at - n.start) : "–"), title: (n) => (n.start ? "since " + when(n.start) : "") },
      { key: "lookupds", label: "Lookupds", num: true, value: links, hide: true },
      { key: "zone", label: "Zone", value: (n) => [n.region, n.zone].filter(Boolean).join(" / "), hide: true },
      figure("goroutines", "Goroutines", true),
      { ...figure("pause", "GC pause", true), cell: (n) => span(n.pause / 1000) },
    ],
  });
  return { title: "Nodes", tables: ["nodes"], el: [head("Nodes"), list.el], update() { list.update(rows("nodes")); } };
}

export function node(name) {
  const sum = facts("Health", "In", "Out", "Depth", "Consumers", "Connections", "Heap", "Disk", "Up");
  const more = h("dl", { class: "pairs" });
  const list = table({
    id: "node-topics", label: "topics on " + name, sort: "topic", down: false, key: (t) => t.topic,
    columns: [
      ofTopic,
      figure("in", "In /s"),
      figure("depth", "Depth"),
      figure("messages", "Messages"),
      figure("channels", "Channels"),
      states(running),
      { key: "do", label: "Do", mark: () => 0, cell: (t) => (may() ? button("Tombstone…", () => tombstone(t.topic, name, t.depth), "quiet small") : "") },
    ],
  });
  const people = table({ id: "node-clients", label: "clients of " + name, sort: "client", down: false, key: (r) => r.key, columns: clientColumns(true), empty: "Nobody is connected." });
  const missing = h("p", { class: "hint", hidden: true }, "No nsqd is known by that name.");
  return {
    title: name, tables: ["nodes", "topics", "clients"], filter: { node: name },
    el: [crumbs(["Nodes", "nodes"]), head(name), missing, sum.el, more,
      h("section", {}, h("h2", {}, "Topics"), list.el), h("section", {}, h("h2", {}, "Clients"), people.el)],
    update() {
      const n = live.tables.nodes.get(name);
      missing.hidden = !live.at || !!n;
      if (!n) return;
      sum.update([well(n)[0], n.error || n.health], rate(n.in), rate(n.out), [num(n.depth), full(n.depth)], num(n.clients), n.lite ? num(n.connections) : "–", bytes(n.heap), [disk(n), n.disk_total ? `of ${bytes(n.disk_total)}` : ""], n.start ? [span(live.at - n.start), "since " + when(n.start)] : "–");
      const pairs = [["Host", n.host], ["Address", `${n.address}, TCP ${n.tcp}, HTTP ${n.http}`], ["Version", n.lite ? `nsqd-lite ${n.lite}, speaking as nsqd ${n.version}` : `nsqd ${n.version}`], ["Data path", n.lite ? n.data_path || "in memory" : ""], ["Sync", n.sync],
        ["Goroutines", n.goroutines || ""], ["GC pause, p99", span(n.pause / 1000)], ["Region, zone", [n.region, n.zone].filter(Boolean).join(", ")], ["Lookupds", n.lookupds.join(", ")], ["Tombstones", n.tombstones.join(", ")], ["Error", n.error]];
      more.replaceChildren(...pairs.filter(([, v]) => v !== "").map(([k, v]) => h("div", {}, h("dt", {}, k), h("dd", {}, v))));
      list.update(rows("topics").flatMap((t) => t.nodes.filter((p) => p.node === name).map((p) => ({ ...p, topic: t.topic }))));
      people.update(rows("clients"));
    },
  };
}

// clientColumns are the columns of a table of clients.
export const clientColumns = (where) => [
  { key: "client", label: "Client", value: (c) => c.remote, cell: (c) => h("span", {}, c.remote, c.id || c.host ? h("small", { class: "muted" }, " " + (c.id || c.host)) : ""), title: (c) => [c.id, c.host].filter(Boolean).join(", ") },
  ...(where ? [{ key: "at", label: "At", value: (c) => (c.channel ? `${c.topic} / ${c.channel}` : c.topic || "–"), cell: (c) => (c.topic ? h("a", { class: "open", href: "topics/" + (c.channel ? path(c.topic, c.channel) : path(c.topic)) }, c.channel ? `${c.topic} / ${c.channel}` : `→ ${c.topic}`) : "–") }] : []),
  { key: "node", label: "Node", value: (c) => c.node, hide: true },
  { key: "agent", label: "Agent", value: (c) => c.agent || "–", cell: (c) => h("span", { class: "clip" }, c.agent || "–"), title: (c) => c.agent },
  { key: "how", label: "How", value: how, cell: (c) => how(c).split(", ").filter(Boolean).map((x) => pill(x)) },
  figure("ready", "Ready"),
  figure("in_flight", "In flight"),
  figure("rate", "Messages /s"),
  figure("messages", "Messages", !where),
  figure("finished", "Finished", where),
  figure("requeues", "Requeued", where),
  { ...figure("late", "Timed out"), value: (c) => c.late || 0, cell: (c) => (c.late ? pill(num(c.late) + " late", "warn") : "0"), title: () => "messages that it had and did not answer in time, or that were dropped meanwhile" },
  { ...figure("last", "Active"), mark: (c) => (c.last ? span(live.at - c.last) : ""), cell: (c) => (c.last ? span(live.at - c.last) + " ago" : "–"), title: () => "when its figures last moved, as far as this page has seen", hide: true },
  { key: "connected", label: "Connected", num: true, value: (c) => live.at - c.connected, mark: (c) => span(live.at - c.connected), cell: (c) => span(live.at - c.connected), title: (c) => "since " + when(c.connected) },
  ...(may() ? [{ key: "do", label: "Do", mark: () => 0, cell: (c) => (c.lite ? button("Close…", () => closeClient(c), "quiet small") : "") }] : []),
];

const how = (c) => [c.kind === "pub" ? "publishes" : "", c.tls, c.snappy && "snappy", c.deflate && "deflate", c.sample && `${c.sample} %`, c.identity, [c.region, c.zone].filter(Boolean).join("/")].filter(Boolean).join(", ");

export function clients() {
  const list = table({ id: "clients", label: "clients", sort: "client", down: false, key: (c) => c.key, columns: clientColumns(true), empty: "Nobody is connected." });
  return { title: "Clients", tables: ["clients"], el: [head("Clients"), list.el], update() { list.update(rows("clients")); } };
}

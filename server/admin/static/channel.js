// One channel.
import { h, api, go, num, rate, full, span, path, query } from "./util.js";
import { live, rows } from "./live.js";
import { button, crumbs, depths, facts, figure, grow, head, ofNode, pill, running, states, table } from "./ui.js";
import { chart } from "./chart.js";
import { danger, lose, may, pause, peek, rewind } from "./actions.js";
import { openPeek } from "./peek.js";
import { clientColumns } from "./nodes.js";

export function channel(topic, name) {
  const what = { topic, channel: name };
  let c = null, looked = 0, looking = false, cannot = "";
  const sum = facts("Depth", "In flight", "Deferred", "Finished", "Requeued", "Timed out", "Oldest", "p99");
  const flow = chart("Messages per second", [{ key: "in", label: "in", color: "--in" }, { key: "out", label: "finished", color: "--out" }, { key: "requeue", label: "requeued", color: "--flight" }, { key: "timeout", label: "timed out", color: "--bad" }], "/s");
  const depth = chart("Depth and in flight", [{ key: "depth", label: "depth", color: "--depth" }, { key: "in_flight", label: "in flight", color: "--flight" }]);
  const consumers = table({ id: "consumers", label: "consumers of " + name, sort: "client", down: false, key: (r) => r.key, columns: clientColumns(false), empty: "No consumer is connected." });
  const flight = table({
    id: "flight", label: "messages in flight", sort: "left", down: false, key: (m) => m.node + m.id, empty: "No message is in flight.", filter: false,
    columns: [
      { key: "id", label: "Message", value: (m) => m.id, cell: (m) => h("code", {}, m.id) },
      { key: "client", label: "With", value: (m) => m.client || "", cell: (m) => m.client || h("span", { class: "muted" }, "gone") },
      figure("attempts", "Attempts"),
      { key: "age", label: "For", num: true, value: (m) => m.age / 1e6, cell: (m) => span(m.age / 1e6) },
      { key: "left", label: "Times out in", num: true, value: (m) => (m.deadline - m.delivered - m.age) / 1e6, cell: (m) => span((m.deadline - m.delivered - m.age) / 1e6) },
      figure("size", "Bytes"),
    ],
  });
  const attempts = h("ol", { class: "top attempts" });
  const flightNote = h("p", { class: "muted" });
  const nodes = table({
    id: "channel-nodes", label: "nodes of " + name, sort: "node", down: false, filter: false, key: (n) => n.node,
    columns: [
      ofNode,
      depths(),
      figure("in_flight", "In flight"),
      figure("deferred", "Deferred"),
      figure("out", "Finished /s"),
      figure("requeues", "Requeues"),
      figure("timeouts", "Timeouts"),
      figure("consumers", "Consumers"),
      states(running),
      { key: "do", label: "Do", mark: (n) => n.paused, cell: (n) => (may() ? button(n.paused ? "Go on" : "Pause", () => pause(what, !n.paused, [n.node]), "quiet small") : "") },
    ],
  });
  const marks = h("span", { class: "marks" });
  const pauseButton = button("Pause", () => self.pause());
  const missing = h("p", { class: "hint", hidden: true }, "No nsqd has this channel. The first subscriber makes it.");
  const deleteButton = button(`Delete channel ${name}…`, () => lose({ ...what, do: "delete" }, c, () => go("topics/" + path(topic))), "danger");
  const emptyButton = button("", () => lose({ ...what, do: "empty" }, c), "danger");
  api("api/v1/history" + query(what)).then((s) => { flow.load(s); depth.load(s); }).catch(() => {});

  // look asks for the messages in flight, every three seconds while the page is seen.
  async function look() {
    if (looking || cannot || live.at - looked < 2900) return;
    looking = true;
    looked = live.at;
    try {
      const both = await Promise.all([peek({ ...what, count: 200, state: "in_flight" }), peek({ ...what, count: 200, state: "requeued" })]);
      const of = (i, k) => both[i].nodes.flatMap((n) => (n.answer?.[k] || []).map((m) => ({ ...m, node: n.node })));
      const list = of(0, "in_flight");
      flight.update(list);
      const failed = both[0].nodes.filter((n) => n.error);
      if (failed.length === both[0].nodes.length) cannot = failed[0].error;
      flightNote.textContent = failed.map((n) => `${n.node}: ${n.error}`).join(" ") || "The next to time out first; at most 200 of each node.";
      spread([...list, ...of(1, "requeued")]);
    } catch (err) { cannot = flightNote.textContent = err.message; }
    looking = false;
  }

  // spread shows how often what is in flight or requeued has been tried.
  function spread(list) {
    const buckets = [["1st", 1, 1], ["2nd", 2, 2], ["3rd to 5th", 3, 5], ["6th and later", 6, 1e9]].map(([label, lo, hi]) => [label, list.filter((m) => m.attempts >= lo && m.attempts <= hi).length]);
    const most = Math.max(...buckets.map((b) => b[1]), 1);
    attempts.replaceChildren(...buckets.map(([label, n]) => {
      const bar = h("span", { class: "bar" }, h("i"));
      bar.firstChild.style.width = (100 * n) / most + "%";
      return h("li", {}, h("span", {}, label), bar, h("b", {}, full(n)));
    }));
  }
  spread([]);

  const self = {
    title: `${topic} / ${name}`, tables: ["channels", "clients"], filter: what,
    el: [
      crumbs(["Topics", "topics"], [topic, "topics/" + path(topic)]),
      head(name, marks, grow(), button("Peek", () => openPeek(what)), may() ? [button("Set back…", () => rewind(what)), pauseButton] : null),
      missing, sum.el, h("div", { class: "charts" }, flow.el, depth.el),
      h("section", {}, h("h2", {}, "Consumers"), consumers.el),
      h("div", { class: "columns wide-first" },
        h("section", {}, h("h2", {}, "In flight"), flightNote, flight.el),
        h("section", { class: "card" }, h("h2", {}, "Attempts"), h("p", { class: "muted" }, "Of what is in flight or requeued."), attempts)),
      h("details", { class: "fold" }, h("summary", {}, h("h2", {}, "By node")), nodes.el),
      danger(emptyButton, deleteButton),
    ],
    pause() { if (c && may()) pause(what, !c.paused); },
    update() {
      c = live.tables.channels.get(topic + "/" + name);
      missing.hidden = !live.at || !!c;
      if (!c) return;
      sum.update([num(c.depth), full(c.depth)], [num(c.in_flight), full(c.in_flight)], [num(c.deferred), full(c.deferred)], [rate(c.out), full(c.finished) + " since start"],
        [num(c.requeues), full(c.requeues)], [num(c.timeouts), full(c.timeouts)], c.oldest ? span(live.at - c.oldest) : "–", c.p99 ? span(c.p99) : "–");
      flow.push(live.at, c);
      depth.push(live.at, c);
      consumers.update(rows("clients").filter((r) => r.kind === "sub"));
      nodes.update(c.nodes);
      pauseButton.textContent = c.paused ? "Go on" : "Pause";
      marks.replaceChildren(...(c.paused ? [pill("paused", "warn")] : []));
      const n = c.depth + c.in_flight + c.deferred;
      emptyButton.textContent = `Empty channel: drop ${full(n)} ${n === 1 ? "message" : "messages"}…`;
      emptyButton.disabled = !n;
      look();
    },
  };
  return self;
}

// What a person can have done, with what has to be said before.
import { h, api, act, full, plural, query, save } from "./util.js";
import { ask, button, failed, field, form, toast } from "./ui.js";

// me is what the server says of itself and of whoever looks.
export const me = {
  about: { may: true, read_only: false, lookupds: [], nsqds: [] },
  async load() {
    try { this.about = await api("api/v1/about"); } catch { /* the page shows what it can */ }
  },
};

export const may = () => me.about.may;

const name = (c) => (c.channel ? `channel ${c.channel} of topic ${c.topic}` : `topic ${c.topic}`);

async function done(body, text, options) {
  const answer = await act(body);
  if (answer.message) toast(answer.message, { bad: true });
  else if (text) toast(text, options);
  return answer;
}

// pause pauses or goes on, at once, and offers to take it back.
export async function pause(what, on, nodes) {
  const body = (a) => ({ action: a, topic: what.topic, channel: what.channel, nodes });
  try {
    await done(body(on ? "pause" : "unpause"), `${on ? "Paused" : "Going on with"} ${name(what)}`, { undo: () => pause(what, !on, nodes) });
  } catch (err) { failed(err); }
}

// held is how many messages there are to lose.
const held = (r) => r.depth + r.in_flight + r.deferred;

const onNodes = (r) => (r.nodes.length > 1 ? ` on ${r.nodes.length} nodes` : "");

// origin is the topic whose dead letters a topic holds, by its name.
export const origin = (topic) => /^(.+)[._-](dead|dlq|dead[._-]?letters?)(#ephemeral)?$/.exec(topic)?.[1];

// replay publishes dead letters again, and drops them where they were.
export function replay(t) {
  const to = h("input", named(true, { value: origin(t.topic) }));
  ask({
    title: `Replay ${name(t)}?`,
    lost: [`What waits here is published again, oldest first, and leaves this topic: ${plural(t.waiting, "message")}${onNodes(t)}. What channels have stays with them.`, "If a node fails on the way, some messages may be in both topics."],
    extra: field("To topic", to), verb: "Replay all",
    async run() {
      const r = await done({ action: "replay", topic: t.topic, to: to.value });
      toast(`Published ${plural(r.messages, "message")} to ${to.value}${r.left ? `; ${full(r.left)} are left to be replayed` : ""}`);
    },
  });
}

// lose asks before messages or consumers are lost: do is delete, empty, or, with
// what the channels of a topic hold, discard.
export function lose(what, r, then) {
  const n = held(r), consumers = r.consumers;
  const [some, past] = { empty: ["Empty", "Emptied"], discard: ["Discard all of", "Discarded all of"], delete: ["Delete", "Deleted"] }[what.do];
  const lost = [];
  if (what.do !== "delete") lost.push(`${plural(n, "message")}${onNodes(r)} will be dropped. They cannot be brought back. Consumers stay connected.`);
  else {
    const inside = r.channel ? "" : ` in ${plural(r.channels, "channel")}`;
    lost.push(n ? `${plural(n, "message")}${inside}${onNodes(r)} will be lost. They cannot be brought back.` : `No message is waiting${inside}${onNodes(r)}.`);
    if (consumers) lost.push(`${plural(consumers, "consumer")} will be disconnected.`);
  }
  const file = `${what.topic}${what.channel ? "." + what.channel : ""}.json`;
  ask({
    title: `${some} ${name(what)}?`, lost, verb: `${some} ${what.channel || what.topic}`,
    name: n || consumers ? what.channel || what.topic : "",
    extra: n ? h("p", {}, button("Export first", async () => {
      try { save(file, JSON.stringify(await peek({ ...what, count: 1000, from: "waiting" }), null, 1), "application/json"); } catch (err) { failed(err); }
    }, "quiet"), h("small", { class: "muted" }, " up to 1,000 of each kind and node, as JSON")) : null,
    async run() {
      await done({ action: what.do, topic: what.topic, channel: what.channel, nodes: what.nodes, depth: what.do === "empty" && !what.channel ? undefined : n + Math.ceil(n / 10) + 100 }, `${past} ${name(what)}`);
      then?.();
    },
  });
}

export const peek = ({ topic, channel, count, from, state, node }) => api("api/v1/peek" + query({ topic, channel, count, from: channel ? "" : from, state, node, max_bytes: 4 << 20 }));

// tombstone hides a topic of a node from consumers, and deletes it there.
export function tombstone(topic, node, waiting) {
  ask({
    title: `Take topic ${topic} away from ${node}?`,
    lost: [
      `nsqlookupds stop naming ${node} to consumers of ${topic}, and the topic is deleted there${waiting ? `: ${plural(waiting, "message")} will be lost` : ""}.`,
      "Do this when the node no longer publishes the topic. If it does, the topic comes back.",
    ],
    verb: "Tombstone", name: waiting ? topic : "",
    run: () => done({ action: "tombstone", topic, nodes: [node] }, `Tombstoned ${topic} on ${node}`),
  });
}

export function closeClient(c) {
  ask({
    title: `Close the connection of ${c.remote}?`,
    lost: [`${c.id || c.host || c.remote}${c.topic ? `, at ${c.topic}${c.channel ? " / " + c.channel : ""},` : ""} is disconnected. Most clients come back at once.`,
      c.in_flight ? `${plural(c.in_flight, "message")} in flight will be delivered again, once they have timed out.` : "No message is in flight to it."],
    verb: "Close it",
    run: () => done({ action: "close", nodes: [c.node], client: c.remote }, `Closed ${c.remote}`),
  });
}

export function rewind(what) {
  const to = h("input", { type: "datetime-local", step: "1", name: "to" });
  const all = h("input", { type: "checkbox", onchange: () => { to.disabled = all.checked; } });
  form(`Set channel ${what.channel} back`, "Set back", [
    h("p", {}, "What was published at that time and later is delivered again, as far as it is still on disk: see --retain-age. Nothing is lost, but consumers see messages twice."),
    field("From", to), h("label", { class: "check" }, all, "From the oldest there is"),
  ], async () => {
    if (!all.checked && !to.value) throw new Error("Say from when on.");
    const r = await done({ action: "rewind", topic: what.topic, channel: what.channel, to: all.checked ? "beginning" : new Date(to.value).toISOString() });
    toast(`${plural(r.messages, "message")} will be delivered again`);
  });
}

// named are the attributes of a field for the name of a topic or channel.
const named = (required, more) => ({ type: "text", required, pattern: "[.a-zA-Z0-9_\\-]+(#ephemeral)?", maxlength: "64", spellcheck: "false", autocomplete: "off", title: "letters, digits, . _ -", ...more });

// publish asks for a message and publishes it.
export function publish(topic, nodes = [], body = "") {
  const text = h("textarea", { rows: "8", spellcheck: "false", required: true, autofocus: true });
  text.value = body;
  const to = h("input", named(true, { value: topic, readonly: !!topic }));
  const delay = h("input", { type: "number", min: "0", max: "3600", value: "0", step: "any" });
  const where = h("select", {}, h("option", { value: "" }, "any that has the topic"), nodes.map((n) => h("option", {}, n)));
  form(topic ? `Publish to ${topic}` : "Publish", "Publish", [
    topic ? null : field("Topic", to), field("Body", text),
    h("div", { class: "pair" }, field("Deliver after (s)", delay), nodes.length > 1 ? field("Node", where) : null),
  ], async () => {
    const r = await api("api/v1/publish" + query({ topic: to.value, node: where.value, defer: Math.round(delay.value * 1000) || "" }), { method: "POST", body: text.value });
    toast(`Published to ${to.value} on ${r.node}`);
  }, { wide: true });
}

// create asks for a name and makes a topic, or a channel of one.
export function create(topic = "", nodes = []) {
  const t = h("input", named(true, { value: topic, autofocus: !topic }));
  const c = h("input", named(!!topic, { autofocus: !!topic }));
  const where = h("select", {}, nodes.map((n) => h("option", { value: n }, n)), me.about.lookupds.length ? h("option", { value: "" }, "only make it known to nsqlookupds") : null);
  form(topic ? `New channel of ${topic}` : "New topic", "Create", [
    field("Topic", t), field(topic ? "Channel" : "Channel (if any)", c, topic ? null : "The first channel gets every message that waits in the topic."), field("Where", where),
  ], () => done({ action: "create", topic: t.value, channel: c.value, nodes: where.value ? [where.value] : [] }, `Made ${name({ topic: t.value, channel: c.value })}`));
}

// unregister has one nsqlookupd forget a topic or channel.
export function unregister(r) {
  const at = h("select", {}, r.known.map((l) => h("option", {}, l)));
  ask({
    title: `Remove the registration of ${name(r)}?`,
    lost: ["One nsqlookupd forgets it; no nsqd is told, and no message is lost.",
      r.nodes.length ? `Consumers are not led to ${r.nodes.join(", ")} by it any more, until those connect to it again.` : "No nsqd has registered it."],
    extra: field("At", at), verb: "Remove", name: r.nodes.length ? r.channel || r.topic : "",
    run: () => done({ action: "unregister", topic: r.topic, channel: r.channel, lookupd: at.value }, `${at.value} has forgotten ${name(r)}`),
  });
}

// forget takes a topic off the nsqlookupds that no nsqd has.
export function forget(topic) {
  ask({
    title: `Forget topic ${topic}?`, lost: ["No nsqd has it. The nsqlookupds forget it and its channels; no message is lost."], verb: "Forget",
    run: () => done({ action: "delete", topic }, `Forgot ${topic}`),
  });
}

// danger is the fold of what loses something, at the end of a page.
export const danger = (...buttons) => may() ? h("details", { class: "fold danger-fold" }, h("summary", {}, h("h2", {}, "Danger")), h("p", { class: "muted" }, "Each asks first, and says what will be lost."), h("div", { class: "row" }, buttons)) : null;

// The drawer in which messages are looked at. None is consumed.
import { h, full, bytes, span, when, save } from "./util.js";
import { button, dialog, failed, grow, pill, toast } from "./ui.js";
import { live } from "./live.js";
import { may, peek, publish } from "./actions.js";

const kinds = { in_flight: "in flight", requeued: "requeued", deferred: "deferred", waiting: "waiting" };

// openPeek shows messages of a topic, or of a channel.
export function openPeek(what) {
  const list = h("div", { class: "messages" });
  const note = h("p", { class: "muted" });
  const froms = what.channel ? { "": "everything", in_flight: "in flight", requeued: "requeued", deferred: "deferred", waiting: "waiting" } : { last: "newest", first: "oldest", waiting: "waiting for a channel" };
  const from = h("select", { "aria-label": "Which messages", onchange: load }, Object.entries(froms).map(([v, t]) => h("option", { value: v }, t)));
  const again = button("Refresh", load, "quiet");
  dialog(what.channel ? `${what.topic} / ${what.channel}` : what.topic, () => [h("div", { class: "tools" }, from, again), note, list], { drawer: true });
  load();

  async function load() {
    try {
      const answer = await peek({ ...what, count: 50, from: what.channel ? "" : from.value, state: what.channel ? from.value : "" });
      const messages = [];
      const errors = [];
      for (const n of answer.nodes) {
        if (n.error) { errors.push(`${n.node}: ${n.error}`); continue; }
        for (const [k, kind] of Object.entries(what.channel ? kinds : { messages: "" })) for (const m of n.answer[k]) messages.push({ ...m, node: n.node, kind });
      }
      if (from.value === "last") messages.sort((a, b) => b.timestamp - a.timestamp);
      note.textContent = [`${full(messages.length)} shown; looking consumes nothing and counts as no attempt.`, ...errors].join(" ");
      list.replaceChildren(...messages.slice(0, 200).map((m) => message(m, what.topic, answer.nodes.length > 1)));
      if (!messages.length) list.append(h("p", { class: "empty" }, "No message is here."));
    } catch (err) { failed(err); }
  }
}

// decode is a message's body as bytes and, if it is such, text.
export function decode(m) {
  if (m.encoding === "text") return { text: m.body, raw: new TextEncoder().encode(m.body) };
  return { text: null, raw: Uint8Array.from(atob(m.body), (c) => c.charCodeAt(0)) };
}

function json(text) {
  if (!/^\s*[[{]/.test(text)) return undefined;
  try { return JSON.parse(text); } catch { return undefined; }
}

function message(m, topic, several) {
  const { text, raw } = decode(m);
  const value = text === null ? undefined : json(text);
  const body = h("div", { class: "body" });
  const forms = { ...(value !== undefined && { JSON: () => tree(value, true) }), ...(text !== null && { Text: () => h("pre", { tabindex: "0" }, text) }), Hex: () => h("pre", { tabindex: "0" }, hex(raw)) };
  const tabs = Object.entries(forms).map(([label, make]) => button(label, () => show(label, make), "quiet small"));
  function show(label, make) {
    tabs.forEach((t) => t.setAttribute("aria-pressed", String(t.textContent === label)));
    body.replaceChildren(make());
  }
  show(...Object.entries(forms)[0]);
  const age = live.at - m.timestamp / 1e6;
  return h("article", { class: "message" },
    h("header", {}, h("code", {}, m.id), m.kind ? pill(m.kind, "") : null, h("span", { class: "muted", title: when(m.timestamp / 1e6) }, span(age) + " old"), h("span", { class: "muted" }, bytes(m.size)),
      m.attempts ? h("span", { class: "muted" }, `attempt ${m.attempts}`) : null, m.due ? h("span", { class: "muted" }, `due in ${span(m.due / 1e6 - live.at)}`) : null,
      several ? h("span", { class: "muted" }, m.node) : null),
    body,
    h("footer", {}, tabs, grow(), button("Copy", () => copy(text ?? m.body), "quiet small"),
      button("Download", () => save(m.id + (value !== undefined ? ".json" : ".bin"), raw), "quiet small"),
      may() && text !== null ? button("Publish again…", () => publish(topic, [], text), "quiet small") : null));
}

async function copy(text) {
  try { await navigator.clipboard.writeText(text); toast("Copied"); } catch { toast("The browser does not let us copy; select the text instead.", { bad: true }); }
}

// tree is a JSON value that opens and closes.
function tree(v, open) {
  if (v === null || typeof v !== "object") return h("span", { class: "j-" + (v === null ? "null" : typeof v) }, JSON.stringify(v));
  const entries = Object.entries(v), list = Array.isArray(v);
  if (!entries.length) return h("span", {}, list ? "[]" : "{}");
  return h("details", { class: "json", open: open && entries.length <= 50 }, h("summary", {}, list ? `[${entries.length}]` : `{${entries.length}}`),
    h("ul", {}, entries.slice(0, 500).map(([k, x]) => h("li", {}, h("span", { class: "j-key" }, list ? k : JSON.stringify(k)), ": ", tree(x, true)))));
}

function hex(raw) {
  const lines = [];
  for (let i = 0; i < Math.min(raw.length, 16384); i += 16) {
    const part = [...raw.slice(i, i + 16)];
    lines.push(`${i.toString(16).padStart(6, "0")}  ${part.map((b) => b.toString(16).padStart(2, "0")).join(" ").padEnd(48)} ${part.map((b) => (b > 31 && b < 127 ? String.fromCharCode(b) : ".")).join("")}`);
  }
  if (raw.length > 16384) lines.push(`… ${full(raw.length - 16384)} bytes more`);
  return lines.join("\n");
}

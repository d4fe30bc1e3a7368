// The frame around the pages: which one is shown, the header, the keyboard.
import { h, icon, api, path } from "./util.js";
import { live, onChange, watch, hold, begin, rows, cluster } from "./live.js";
import { redraw } from "./chart.js";
import { dialog } from "./ui.js";
import { overview } from "./overview.js";
import { topics, topic } from "./topics.js";
import { channel } from "./channel.js";
import { nodes, node, clients } from "./nodes.js";
import { lookup, tail, config, counter, about } from "./others.js";
import { me } from "./actions.js";

const pages = [
  { path: "", name: "Overview", icon: "overview", make: overview },
  { path: "topics", name: "Topics", icon: "topics", make: topics },
  { path: "nodes", name: "Nodes", icon: "nodes", make: nodes },
  { path: "clients", name: "Clients", icon: "clients", make: clients },
  { path: "live", name: "Live tail", icon: "live", make: tail },
  { path: "lookup", name: "Lookup", icon: "lookup", make: lookup },
  { path: "config", name: "Config", icon: "config", make: config },
  { path: "counter", name: "Counter", icon: "counter", make: counter },
  { path: "about", name: "About", icon: "about", make: about },
];

const base = new URL(document.baseURI).pathname;
const main = document.getElementById("main");
let current = null;

// find is the page of a path: what makes it, and with what.
function find(parts) {
  if (parts[0] === "topics" && parts.length === 2) return { make: topic, args: [parts[1]], nav: "topics" };
  if (parts[0] === "topics" && parts.length === 3) return { make: channel, args: parts.slice(1), nav: "topics" };
  if (parts[0] === "nodes" && parts.length === 2) return { make: node, args: [parts[1]], nav: "nodes" };
  const p = pages.find((p) => p.path === parts.join("/"));
  return p ? { make: p.make, args: [], nav: p.path } : { make: () => ({ title: "Not here", tables: [], el: h("p", {}, "There is no such page.") }), args: [], nav: "" };
}

function show() {
  current?.gone?.();
  const rest = location.pathname.startsWith(base) ? location.pathname.slice(base.length) : "";
  const found = find(rest.split("/").filter(Boolean).map(decodeURIComponent));
  current = found.make(...found.args);
  document.title = (current.title ? current.title + " · " : "") + "nsqd-lite";
  main.replaceChildren(...[].concat(current.el));
  for (const a of document.querySelectorAll("#nav a")) {
    if (a.dataset.path === found.nav) a.setAttribute("aria-current", "page");
    else a.removeAttribute("aria-current");
  }
  watch(current.tables, current.filter);
  update();
}

// go shows another page.
function go(to) {
  history.pushState(null, "", to);
  show();
  scrollTo(0, 0);
  main.focus({ preventScroll: true });
}

document.addEventListener("click", (e) => {
  const a = e.target.closest?.("a[href]");
  if (!a || e.defaultPrevented || e.button || e.metaKey || e.ctrlKey || e.shiftKey || a.target || a.hasAttribute("download")) return;
  const url = new URL(a.href);
  if (url.origin !== location.origin || !url.pathname.startsWith(base) || /^(static|api|render)\//.test(url.pathname.slice(base.length)) || url.hash) return;
  e.preventDefault();
  document.querySelectorAll("dialog").forEach((d) => d.close());
  go(url.href);
});
addEventListener("popstate", show);
addEventListener("go", (e) => go(new URL(e.detail, document.baseURI).href));

// The header.

const states = {
  connecting: ["wait", "connecting"], live: ["ok", "live · 1 s"], polling: ["ok", "live · 2 s"],
  reconnecting: ["warn", "reconnecting"], paused: ["off", "paused"],
};
const healths = { ok: "all well", warn: "needs attention", bad: "trouble" };
let said = "";

function update() {
  const [kind, text] = states[live.state];
  const button = document.getElementById("live");
  button.className = "quiet state " + kind;
  button.lastElementChild.textContent = text;
  button.title = live.held ? "Go on" : "Hold still";
  const c = cluster();
  const health = document.getElementById("health");
  if (c) {
    const needs = rows("attention").filter((a) => a.level !== "note").length;
    health.className = "health state " + c.health;
    health.lastElementChild.textContent = c.health === "ok" ? `${c.nodes === 1 ? "1 node" : c.nodes + " nodes"} · ${healths.ok}` : `${needs} ${needs === 1 ? "thing needs" : "things need"} attention`;
    const words = healths[c.health] + ", " + live.state;
    if (said && said !== words) document.getElementById("say").textContent = words;
    said = words;
  }
  current?.update?.();
}

let drawing = false;
onChange(() => {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => { drawing = false; update(); });
});

document.getElementById("live").addEventListener("click", () => hold(!live.held));

const themes = ["auto", "light", "dark"];
const themeButton = document.getElementById("theme");
function theme(name) {
  if (name === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = name;
  try { localStorage.setItem("theme", name); } catch { /* it is not kept */ }
  themeButton.replaceChildren(icon({ auto: "auto", light: "sun", dark: "moon" }[name]));
  themeButton.setAttribute("aria-label", `Theme: ${name}`);
  themeButton.title = `Theme: ${name}`;
  themeButton.dataset.theme = name;
  redraw();
}
themeButton.addEventListener("click", () => theme(themes[(themes.indexOf(themeButton.dataset.theme) + 1) % 3]));
theme(document.documentElement.dataset.theme || "auto");

document.getElementById("nav").append(h("ul", {}, pages.map((p) => h("li", {}, h("a", { href: p.path || "./", "data-path": p.path }, icon(p.icon), h("span", {}, p.name))))));
for (const id of ["health"]) document.getElementById(id).href = "./";
document.querySelector(".brand").href = "./";

// Search.

const q = document.getElementById("q"), list = document.getElementById("found");
let hits = [], chosen = 0, names = [];

async function candidates() {
  try {
    const frame = await api("api/v1/rows?tables=topics,channels,nodes");
    names = [
      ...frame.tables.topics.set.map((t) => ({ text: t.topic, kind: "topic", to: "topics/" + path(t.topic) })),
      ...frame.tables.channels.set.map((c) => ({ text: `${c.topic} / ${c.channel}`, kind: "channel", to: "topics/" + path(c.topic, c.channel) })),
      ...frame.tables.nodes.set.map((n) => ({ text: n.node, kind: "node", to: "nodes/" + path(n.node) })),
      ...pages.map((p) => ({ text: p.name, kind: "page", to: p.path || "./" })),
    ];
  } catch { /* what was found before has to do */ }
  search();
}

function search() {
  const text = q.value.trim().toLowerCase();
  hits = text ? names.filter((n) => n.text.toLowerCase().includes(text)).sort((a, b) => a.text.toLowerCase().indexOf(text) - b.text.toLowerCase().indexOf(text) || a.text.length - b.text.length).slice(0, 12) : [];
  chosen = 0;
  drawHits();
}

function drawHits() {
  list.hidden = !hits.length;
  q.setAttribute("aria-expanded", String(!list.hidden));
  list.replaceChildren(...hits.map((n, i) => h("li", { role: "option", id: "hit" + i, "aria-selected": String(i === chosen), onmousedown: (e) => { e.preventDefault(); pick(i); } }, h("span", {}, n.text), h("small", {}, n.kind))));
  if (hits.length) q.setAttribute("aria-activedescendant", "hit" + chosen);
  else q.removeAttribute("aria-activedescendant");
}

function pick(i) {
  const hit = hits[i];
  q.value = "";
  hits = [];
  drawHits();
  q.blur();
  if (hit) go(new URL(hit.to, document.baseURI).href);
}

q.addEventListener("focus", candidates);
q.addEventListener("input", search);
q.addEventListener("blur", () => { hits = []; drawHits(); });
q.addEventListener("keydown", (e) => {
  if (e.key === "ArrowDown" || e.key === "ArrowUp") {
    e.preventDefault();
    chosen = (chosen + (e.key === "ArrowDown" ? 1 : hits.length - 1)) % Math.max(hits.length, 1);
    drawHits();
  } else if (e.key === "Escape") q.blur();
});
document.getElementById("search").addEventListener("submit", (e) => { e.preventDefault(); pick(chosen); });

// The keyboard.

const keys = [
  ["/", "find a topic, channel or node"], ["g o", "overview"], ["g t", "topics"], ["g n", "nodes"], ["g c", "clients"], ["g l", "live tail"],
  ["j  k", "next and previous row"], ["Enter", "open it"], ["p", "pause or go on: this topic or channel"], ["Esc", "close"], ["?", "this"],
];
function help() {
  if (document.querySelector("dialog[open]")) return;
  dialog("Keyboard", (close) => [h("dl", { class: "keys" }, keys.map(([k, what]) => h("div", {}, h("dt", {}, k.split(" ").filter(Boolean).map((x) => h("kbd", {}, x))), h("dd", {}, what)))),
    h("form", { class: "actions", onsubmit: (e) => { e.preventDefault(); close(); } }, h("button", { autofocus: true }, "Close"))]);
}
document.getElementById("help").addEventListener("click", help);

let g = 0;
addEventListener("keydown", (e) => {
  if (e.metaKey || e.ctrlKey || e.altKey || e.target.closest?.("input, textarea, select, dialog")) return;
  const to = { o: "./", t: "topics", n: "nodes", c: "clients", l: "live" }[e.key];
  if (g && Date.now() - g < 1500 && to) {
    g = 0;
    e.preventDefault();
    return go(new URL(to, document.baseURI).href);
  }
  g = e.key === "g" ? Date.now() : 0;
  if (e.key === "/") { e.preventDefault(); q.focus(); q.select(); }
  if (e.key === "?") help();
  if (e.key === "p") current?.pause?.();
  if (e.key === "j" || e.key === "k") {
    const links = [...main.querySelectorAll("a.open")].filter((a) => a.offsetParent);
    const i = links.indexOf(document.activeElement);
    links[e.key === "j" ? Math.min(i + 1, links.length - 1) : Math.max(i - 1, 0)]?.focus();
  }
});

await me.load();
show();
begin();

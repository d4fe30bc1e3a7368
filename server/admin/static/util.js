// Making elements, and writing numbers for people.

// h makes an element. Properties that begin with "on" are listeners, others are
// attributes; a child that is no node is text. Nothing is ever parsed as HTML.
export function h(tag, props, ...children) {
  const el = document.createElement(tag);
  for (const [key, value] of Object.entries(props || {})) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) el.addEventListener(key.slice(2), value);
    else if (key === "class") el.className = value;
    else el.setAttribute(key, value === true ? "" : value);
  }
  add(el, children);
  return el;
}

function add(el, children) {
  for (const c of children) {
    if (Array.isArray(c)) add(el, c);
    else if (c !== undefined && c !== null && c !== false) el.append(c instanceof Node ? c : String(c));
  }
}

const SVG = "http://www.w3.org/2000/svg";

// icon is one of the few drawings, as a path on a grid of 24.
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", "ico");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

const ICONS = {
  overview: "M4 13h6V4H4zM14 20h6V4h-6zM4 20h6v-3H4z",
  topics: "M4 6h16M4 12h16M4 18h10",
  nodes: "M4 5h16v5H4zM4 14h16v5H4zM8 7.5h.01M8 16.5h.01",
  clients: "M9 11a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7zM3 20c0-3.5 2.5-6 6-6s6 2.5 6 6M16 4.5a3.5 3.5 0 0 1 0 6M18 14.5c2 .8 3 2.8 3 5.5",
  live: "M3 12h4l3-8 4 16 3-8h4",
  lookup: "M10.5 17a6.5 6.5 0 1 0 0-13 6.5 6.5 0 0 0 0 13zM15.5 15.5L20 20",
  config: "M4 7h10M18 7h2M4 17h2M10 17h10M16 5v4M8 15v4",
  counter: "M5 20V10M12 20V4M19 20v-7",
  about: "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM12 11v5M12 8h.01",
  sun: "M12 16a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM12 2v2M12 20v2M2 12h2M20 12h2M5 5l1.4 1.4M17.6 17.6L19 19M5 19l1.4-1.4M17.6 6.4L19 5",
  moon: "M20 14.5A8.5 8.5 0 0 1 9.5 4a8.5 8.5 0 1 0 10.5 10.5z",
  auto: "M12 3a9 9 0 1 0 0 18zM12 3a9 9 0 0 1 0 18",
};

// spark draws the shape of some values.
export function spark(el, values, most) {
  let svg = el.firstChild;
  if (!svg) {
    svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("viewBox", "0 0 180 36");
    svg.setAttribute("preserveAspectRatio", "none");
    svg.setAttribute("aria-hidden", "true");
    for (const c of ["area", "line"]) {
      const p = document.createElementNS(SVG, "path");
      p.setAttribute("class", c);
      svg.append(p);
    }
    el.append(svg);
  }
  const n = values.length, top = Math.max(most || 0, ...values, 1e-9);
  const points = values.map((v, i) => `${(180 - (n - 1 - i)).toFixed(1)} ${(34 - 31 * v / top).toFixed(1)}`);
  const line = n > 1 ? "M" + points.join("L") : "";
  svg.children[1].setAttribute("d", line);
  svg.children[0].setAttribute("d", line && `${line}L180 36L${181 - n} 36Z`);
}

const exact = new Intl.NumberFormat("en-US", { maximumFractionDigits: 1 });

// full is a number in full, for tooltips.
export const full = (n) => exact.format(n);

// num is a number in few letters: 12.3 k.
export function num(n) {
  const a = Math.abs(n);
  if (a < 10000) return full(a < 100 ? n : Math.round(n));
  for (const [unit, size] of [["k", 1e3], ["M", 1e6], ["G", 1e9], ["T", 1e12]]) {
    if (a < size * 999.5) return (n / size).toFixed(a < size * 99.95 ? 1 : 0) + " " + unit;
  }
  return n.toExponential(1);
}

export const rate = (n) => num(n) + "/s";

export function bytes(n) {
  for (const unit of ["B", "kB", "MB", "GB", "TB"]) {
    if (n < 1000 || unit === "TB") return (unit === "B" || n >= 100 ? Math.round(n) : n.toFixed(1)) + " " + unit;
    n /= 1000;
  }
}

// span is a time in milliseconds: 340 ms, 3 s, 12 min, 5 h, 3 d.
export function span(ms) {
  if (ms <= 0) return "0 s";
  if (ms < 1000) return (ms < 10 ? ms.toFixed(1) : Math.round(ms)) + " ms";
  const s = ms / 1000;
  if (s < 90) return Math.round(s) + " s";
  if (s < 5400) return Math.round(s / 60) + " min";
  if (s < 172800) return Math.round(s / 3600) + " h";
  return Math.round(s / 86400) + " d";
}

export const when = (ms) => new Date(ms).toISOString().replace("T", " ").replace(/\.\d+Z$/, " UTC");

// plural is "1 message", "2 messages".
export const plural = (n, word) => `${full(n)} ${word}${n === 1 ? "" : "s"}`;

// path is the address of a page of a topic or channel.
export const path = (...parts) => parts.map(encodeURIComponent).join("/");

// store and recall keep what a person has chosen, where the browser lets us.
export function store(key, value) {
  try { localStorage.setItem(key, JSON.stringify(value)); } catch { /* it is not kept */ }
}
export function recall(key, standard) {
  try { return JSON.parse(localStorage.getItem(key)) ?? standard; } catch { return standard; }
}

// api makes a request; an answer that is no success is an Error with what the
// server says.
export async function api(url, options) {
  const res = await fetch(url, options);
  const text = await res.text();
  let body;
  try { body = JSON.parse(text); } catch { body = {}; }
  if (!res.ok) {
    const err = new Error(body.detail ? `${body.message}: ${body.detail}` : body.message || `status ${res.status}`);
    err.status = res.status;
    throw err;
  }
  return body;
}

// act has something changed.
export const act = (body) => api("api/v1/act", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });

// go asks the frame for another page, by its path.
export const go = (to) => dispatchEvent(new CustomEvent("go", { detail: to }));

// query makes "?a=b", without what is empty.
export function query(values) {
  const q = new URLSearchParams();
  for (const [k, v] of Object.entries(values)) if (v !== undefined && v !== "" && v !== null) q.set(k, v);
  const s = q.toString();
  return s && "?" + s;
}

// save gives a file to the person.
export function save(name, content, type = "application/octet-stream") {
  const a = h("a", { href: URL.createObjectURL(new Blob([content], { type })), download: name });
  a.click();
  setTimeout(() => URL.revokeObjectURL(a.href), 10000);
}

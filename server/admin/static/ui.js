// What pages are made of: tables, dialogs, messages.
import { h, num, full, path, store, recall, save } from "./util.js";

const shownAtOnce = 200;

// table is a table whose rows change. columns are {key, label, value(row), cell(row),
// num, title(row), hide}; value is what is sorted by and what is shown unless
// there is a cell. o is {id, label, columns, key(row), sort, empty, filter, open, tools}.
export function table(o) {
  const saved = recall("table-" + o.id, {});
  let sort = saved.sort || o.sort || o.columns[0].key;
  let down = saved.down ?? (o.down ?? true);
  let hidden = new Set(saved.hidden || o.columns.filter((c) => c.hide).map((c) => c.key));
  let all = [], limit = shownAtOnce, text = "";
  const lines = new Map();

  const input = h("input", { type: "search", placeholder: "Filter", "aria-label": "Filter " + o.label, oninput: () => { text = input.value.toLowerCase(); draw(); } });
  const chooser = h("details", { class: "menu" }, h("summary", { "aria-label": "Columns of " + o.label }, "Columns"),
    h("div", {}, o.columns.slice(1).map((c) => h("label", {}, h("input", {
      type: "checkbox", checked: !hidden.has(c.key), onchange: (e) => { e.target.checked ? hidden.delete(c.key) : hidden.add(c.key); keep(); headings(); lines.clear(); body.replaceChildren(); draw(); },
    }), c.label))));
  const count = h("span", { class: "muted count" });
  const csv = button("CSV", () => save(o.id + ".csv", toCSV(), "text/csv"), "quiet small", { title: "Download these rows as CSV" });
  const tools = h("div", { class: "tools" }, o.filter === false ? null : input, o.tools, count, grow(), csv, chooser);
  const headRow = h("tr"), body = h("tbody");
  const more = button("Show more", () => { limit += 1000; draw(); }, "quiet");
  const empty = h("p", { class: "empty" });
  const grid = h("table", { class: "grid", "aria-label": o.label }, h("thead", {}, headRow), body);
  const el = h("div", { class: "table" }, tools, h("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": o.label }, grid), empty, more);

  const columns = () => o.columns.filter((c) => !hidden.has(c.key));
  const keep = () => store("table-" + o.id, { sort, down, hidden: [...hidden] });

  function headings() {
    headRow.replaceChildren(...columns().map((c) => h("th", { scope: "col", class: c.num ? "num" : "", "aria-sort": c.key === sort ? (down ? "descending" : "ascending") : null },
      c.value ? button(c.label, () => { down = c.key === sort ? !down : !!c.num; sort = c.key; keep(); headings(); draw(); }) : c.label)));
  }

  function draw() {
    const by = o.columns.find((c) => c.key === sort) || o.columns[0];
    let list = text ? all.filter((r) => o.columns.some((c) => c.value && String(c.value(r)).toLowerCase().includes(text))) : all.slice();
    const order = (a, b) => (typeof a === "string" ? a.localeCompare(b) : a - b);
    list.sort((a, b) => (down ? -1 : 1) * order(by.value(a), by.value(b)) || order(o.key(a), o.key(b)));
    count.textContent = list.length === all.length ? full(all.length) : `${full(list.length)} of ${full(all.length)}`;
    more.hidden = list.length <= limit;
    empty.hidden = list.length > 0;
    empty.textContent = all.length ? "Nothing matches the filter." : o.empty || "There is nothing yet.";
    grid.parentElement.hidden = !list.length;
    list = list.slice(0, limit);
    const cols = columns(), used = new Set();
    let at = body.firstChild;
    for (const r of list) {
      const key = o.key(r);
      used.add(key);
      let line = lines.get(key);
      if (!line) {
        line = { tr: h("tr"), shown: [] };
        for (const c of cols) line.tr.append(h("td", { class: c.num ? "num" : "", "data-label": c.label }));
        lines.set(key, line);
      }
      cols.forEach((c, i) => fill(line, i, c, r));
      if (line.tr === at) at = at.nextSibling;
      else body.insertBefore(line.tr, at);
    }
    for (const [key, line] of lines) if (!used.has(key)) { line.tr.remove(); lines.delete(key); }
  }

  function fill(line, i, c, r) {
    const value = c.value ? c.value(r) : 0;
    const mark = c.mark ? c.mark(r) : value;
    if (line.shown[i] === mark && line.shown[i] !== undefined) return;
    line.shown[i] = mark;
    const td = line.tr.children[i];
    const shown = c.cell ? c.cell(r) : c.num ? num(value) : value;
    td.replaceChildren(...(Array.isArray(shown) ? shown : [shown]));
    const title = c.title ? c.title(r) : c.num && typeof value === "number" ? full(value) : "";
    if (title) td.title = title;
  }

  function toCSV() {
    const quote = (v) => (/[",\n]/.test(v) ? `"${String(v).replaceAll('"', '""')}"` : v);
    const cols = o.columns.filter((c) => c.value);
    return [cols.map((c) => c.label), ...all.map((r) => cols.map((c) => c.value(r)))].map((l) => l.map(quote).join(",")).join("\n") + "\n";
  }

  headings();
  return { el, update(rows) { all = rows; draw(); } };
}

// facts is a row of figures: [label, text, title] each; update takes the same.
export function facts(...labels) {
  const cells = labels.map((l) => h("dd", {}, "–"));
  const el = h("dl", { class: "facts" }, labels.map((l, i) => h("div", {}, h("dt", {}, l), cells[i])));
  return {
    el,
    update(...values) {
      values.forEach((v, i) => {
        const [text, title] = Array.isArray(v) ? v : [v];
        if (cells[i].textContent !== String(text)) cells[i].textContent = text;
        if (title !== undefined) cells[i].title = title;
      });
    },
  };
}

// figure is the column of a number that rows have by that key.
export const figure = (key, label, hide) => ({ key, label, num: true, value: (r) => r[key], hide });

// linked is the column of a name that leads to its page.
const linked = (key, label, to) => ({ key, label, value: (r) => r[key], cell: (r) => h("a", { class: "open", href: to(r) }, r[key]) });
export const ofTopic = linked("topic", "Topic", (r) => "topics/" + path(r.topic));
export const ofChannel = linked("channel", "Channel", (r) => "topics/" + path(r.topic, r.channel));
export const ofNode = linked("node", "Node", (r) => "nodes/" + path(r.node));

// depths is the column of a depth, with a bar of how much of it is on disk. lead
// is what stands before it.
export const depths = (lead = () => "") => ({
  ...figure("depth", "Depth"), mark: (r) => [r.depth, r.disk, lead(r)].join(),
  cell(r) {
    const bar = h("span", { class: r.depth ? "split" : "split none", title: `${full(r.depth - r.disk)} in memory, ${full(r.disk)} on disk` }, h("i"));
    bar.firstChild.style.width = (r.depth ? (100 * r.disk) / r.depth : 0) + "%";
    return [lead(r), h("span", {}, num(r.depth), " ", bar)];
  },
});

// states is the column of a state: of what pill takes.
export const states = (of) => ({ key: "state", label: "State", value: (r) => of(r)[0], cell: (r) => pill(...of(r)) });
export const running = (r) => (r.hidden ? ["tombstoned", "warn"] : r.paused ? ["paused", "warn"] : ["ok", "ok"]);

// pill is a state in a word.
export const pill = (text, kind = "") => h("span", { class: "pill " + kind }, text);

// toast tells of what was done. undo, if there is one, takes it back.
export function toast(text, { undo, bad } = {}) {
  const box = h("div", { class: "toast" + (bad ? " bad" : "") }, h("span", {}, text));
  const close = () => box.remove();
  if (undo) box.append(button("Undo", () => { close(); undo(); }));
  box.append(button("×", close, "quiet icon", { "aria-label": "Dismiss" }));
  document.getElementById("toasts").append(box);
  setTimeout(close, bad ? 15000 : undo ? 10000 : 5000);
}

export const failed = (err) => toast(err.message, { bad: true });

// dialog shows a native dialog and returns it. build gets what closes it.
export function dialog(title, build, { wide, drawer } = {}) {
  const d = h("dialog", { class: drawer ? "drawer" : wide ? "wide" : "", "aria-labelledby": "dialog-title" });
  const close = () => d.close();
  d.append(h("div", { class: "dialog-head" }, h("h2", { id: "dialog-title" }, title), drawer ? button("×", close, "quiet icon", { "aria-label": "Close" }) : ""), ...[].concat(build(close)));
  d.addEventListener("close", () => d.remove());
  d.addEventListener("click", (e) => { if (e.target === d && drawer) close(); });
  document.body.append(d);
  d.showModal();
  return d;
}

// ask asks before something is lost. Enter cancels: the safe button has the
// focus and is the form's first. name, when given, has to be typed.
export function ask({ title, lost, verb, name, extra, run }) {
  dialog(title, (close) => {
    const go = button(verb, doIt, "danger", { disabled: !!name });
    const cancel = h("button", { type: "submit", autofocus: true }, "Cancel");
    const input = name && h("input", { type: "text", autocomplete: "off", spellcheck: "false", oninput: () => { go.disabled = input.value !== name; } });
    async function doIt() {
      go.disabled = true;
      try { await run(); close(); } catch (err) { close(); failed(err); }
    }
    return h("form", { onsubmit: (e) => { e.preventDefault(); close(); } },
      lost.map((l) => h("p", {}, l)),
      extra || null,
      input ? h("label", { class: "field" }, h("span", {}, "Type ", h("code", {}, name), " to go on"), input) : null,
      h("div", { class: "actions" }, cancel, go));
  });
}

// form is a dialog with fields, and what it does when it is sent. If that fails,
// it stays.
export function form(title, verb, fields, run, options) {
  dialog(title, (close) => h("form", {
    async onsubmit(e) {
      e.preventDefault();
      try { await run(); close(); } catch (err) { failed(err); }
    },
  }, fields, h("div", { class: "actions" }, button("Cancel", close), h("button", { class: "primary" }, verb))), options);
}

// button is a button that does something at once.
export const button = (text, onclick, kind, more) => h("button", { type: "button", class: kind, onclick, ...more }, text);

// crumbs say where a page is: names, and where they lead.
export const crumbs = (...links) => h("nav", { class: "crumbs", "aria-label": "Where this is" }, links.map(([name, to]) => [h("a", { href: to }, name), " / "]));

// head is the heading of a page, and what can be done there.
export const head = (title, ...more) => h("div", { class: "head" }, h("h1", {}, title), more);
export const grow = () => h("span", { class: "grow" });

// field is a labelled control.
export const field = (label, control, hint) => h("label", { class: "field" }, h("span", {}, label), control, hint ? h("small", { class: "muted" }, hint) : null);

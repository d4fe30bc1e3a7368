// What the server sends, kept up to date: by an event stream, or by asking each
// two seconds where streams do not pass. Nothing is asked for while nobody sees it.
import { api, query } from "./util.js";

const KEYS = {
  cluster: () => "", attention: (r) => r.key, nodes: (r) => r.node, topics: (r) => r.topic,
  channels: (r) => r.topic + "/" + r.channel, clients: (r) => r.key,
};

export const live = {
  tables: {}, // by name, Maps of rows by key
  at: 0, // the server's time of the newest rows, unix ms
  state: "connecting", // connecting, live, polling, reconnecting or paused
  held: false, // by the person
};

const listeners = new Set();
let wanted = { tables: "cluster,attention" };
let source = null, timer = 0, seen = "", failures = 0, generation = 0;

for (const t in KEYS) live.tables[t] = new Map();

// onChange has f called after each change of rows or state. It returns what
// takes that back.
export function onChange(f) {
  listeners.add(f);
  return () => listeners.delete(f);
}

function tell(rows) {
  for (const f of listeners) f(rows);
}

function state(s) {
  if (live.state !== s) {
    live.state = s;
    tell(false);
  }
}

// watch asks for the rows of tables, of a topic, channel or node alone if need
// be. The cluster's are always among them.
export function watch(tables, filter = {}) {
  const next = { tables: ["cluster", "attention", ...tables].join(","), ...filter };
  if (JSON.stringify(next) === JSON.stringify(wanted) && seen) return;
  wanted = next;
  seen = "";
  restart();
}

// hold stops and resumes at the person's wish.
export function hold(on) {
  live.held = on;
  restart();
}

function restart() {
  generation++;
  source?.close();
  source = null;
  clearTimeout(timer);
  if (live.held || document.hidden) return state("paused");
  if (live.state === "paused") state("reconnecting");
  if (failures >= 3) poll(generation);
  else stream(generation);
}

function stream(mine) {
  // Last-Event-ID is the browser's business within one stream; after a pause
  // of ours everything is sent anew, which replaces what we have.
  source = new EventSource("api/v1/events" + query(wanted));
  source.addEventListener("stats", (e) => {
    if (mine !== generation) return;
    failures = 0;
    apply(JSON.parse(e.data));
    state("live");
  });
  source.onerror = () => {
    if (mine !== generation) return;
    state("reconnecting");
    if (++failures >= 3) restart();
    else if (source.readyState === EventSource.CLOSED) timer = setTimeout(restart, 1000);
  };
}

async function poll(mine) {
  try {
    const frame = await api("api/v1/rows" + query({ ...wanted, since: seen }));
    if (mine !== generation) return;
    apply(frame);
    state("polling");
    if (++failures > 18) failures = 0; // try a stream again
  } catch {
    if (mine !== generation) return;
    state("reconnecting");
  }
  timer = setTimeout(() => (failures === 0 ? restart() : poll(mine)), 2000);
}

function apply(frame) {
  seen = frame.id;
  live.at = frame.at;
  for (const [name, change] of Object.entries(frame.tables)) {
    const rows = live.tables[name], key = KEYS[name];
    if (frame.full) rows.clear();
    for (const k of change.del) rows.delete(k);
    for (const r of change.set) rows.set(key(r), r);
  }
  tell(true);
}

document.addEventListener("visibilitychange", restart);
export const begin = restart;

// sorted are the rows of a table.
export const rows = (table) => [...live.tables[table].values()];
export const cluster = () => live.tables.cluster.get("");

// Drives a browser over the admin page. browser_test.go starts it, with the
// page's address, that of a page that only shows, that of what the test does on
// demand, the directory of playwright-core and axe-core, and the browser. It
// prints a line for each check: "ok NAME" or "FAIL NAME: why".
import { createRequire } from "node:module";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const [, , base, readOnly, control, modules, browserPath] = process.argv;
const require = createRequire(join(modules, "node_modules", "x.js"));
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

const profile = mkdtempSync(join(tmpdir(), "nsqloop-browser-"));
const args = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
const context = await chromium.launchPersistentContext(profile, { executablePath: browserPath, headless: true, args, viewport: { width: 1280, height: 860 }, reducedMotion: "reduce" });
context.setDefaultTimeout(15000);
const page = context.pages()[0];
const complaints = []; // of the browser: scripts that fail, what the policy forbids
page.on("console", (m) => { if (m.type() === "error" && !/Failed to load resource|net::ERR_FAILED/.test(m.text())) complaints.push(m.text()); });
page.on("pageerror", (e) => complaints.push(String(e)));

const ask = async (path) => {
  const res = await fetch(control + path);
  if (!res.ok) throw new Error(`${path}: ${res.status} ${await res.text()}`);
  return (await res.text()).trim();
};
const api = async (path) => (await fetch(base + path)).json();
const open = async (path, root = base) => {
  await page.goto(root + path);
  await page.waitForFunction(() => /^live/.test(document.querySelector("#live span").textContent));
};
const must = (ok, why) => { if (!ok) throw new Error(why); };
const count = (text) => Number(text.replaceAll(",", ""));
const until = async (what, ok) => {
  for (let i = 0; i < 300; i++) {
    if (await ok()) return;
    await new Promise((r) => setTimeout(r, 50));
  }
  throw new Error("never: " + what);
};
const dialogs = () => page.locator("dialog[open]").count();

let failed = 0;
async function check(name, run) {
  try {
    await run();
    console.log("ok " + name);
  } catch (err) {
    failed++;
    console.log(`FAIL ${name}: ${String(err.message).split("\n").slice(0, 6).join(" | ")}`);
    for (const d of await page.locator("dialog[open]").all()) await d.evaluate((x) => x.close());
  }
}

const pages = ["", "topics", "topics/orders", "topics/orders.dead", "topics/orders/billing", "nodes", "clients", "live?topic=orders", "lookup", "config", "counter", "about"];
const one = (await api("api/nodes")).nodes[0];
const nodePage = "nodes/" + encodeURIComponent(`${one.broadcast_address}:${one.http_port}`);
pages.push(nodePage);

await check("LiveNumbersMove", async () => {
  await open("topics/orders");
  const depth = page.locator(".facts dd").first();
  await until("the depth is there", async () => /\d/.test(await depth.textContent()));
  const before = count(await depth.textContent());
  await ask("/publish?n=7");
  await until("the depth has moved", async () => count(await depth.textContent()) === before + 7);
});

await check("PublishPeekConsume", async () => {
  await page.getByRole("button", { name: "Publish…" }).click();
  await page.locator("dialog textarea").fill('{"hello":"from the page"}');
  await page.locator("dialog").getByRole("button", { name: "Publish" }).click();
  await page.getByText("Published to orders").waitFor();
  must((await dialogs()) === 0, "the dialog is still open");
  await page.getByRole("button", { name: "Peek" }).click();
  const first = page.locator(".message").first();
  await first.locator(".j-string", { hasText: "from the page" }).waitFor();
  await first.getByRole("button", { name: "Text" }).click();
  must((await first.locator("pre").textContent()) === '{"hello":"from the page"}', "the body as text is another one");
  await first.getByRole("button", { name: "Hex" }).click();
  must(/7b 22 68 65/.test(await first.locator("pre").textContent()), "the body in hexadecimal is another one");
  await page.keyboard.press("Escape");
  const got = await ask("/consume");
  must(got.split("\n").includes('{"hello":"from the page"}'), "the consumer got " + got);
  await until("the depth is 0 again", async () => (await page.locator(".facts dd").first().textContent()) === "0");
});

await check("DeleteAsksForTheName", async () => {
  await ask("/publish?n=3&topic=doomed");
  await open("topics/doomed");
  await page.getByText("Danger").click();
  const button = page.getByRole("button", { name: "Delete topic doomed…" });
  await until("three messages are seen", async () => (await page.locator(".facts dd").first().textContent()) === "3");
  await page.getByRole("button", { name: "Peek" }).click(); // what no channel has been given yet is seen too
  await until("three messages are shown", async () => (await page.locator(".message").count()) === 3);
  await page.keyboard.press("Escape");
  await button.click();
  must(/3 messages/.test(await page.locator("dialog").textContent()), "it does not say what is lost");
  must((await page.evaluate(() => document.activeElement.textContent)) === "Cancel", "the focus is not on the safe button");
  await page.keyboard.press("Enter");
  must((await dialogs()) === 0, "Enter does not cancel");
  must((await api("api/topics")).topics.includes("doomed"), "Enter deletes");
  await button.click();
  const go = page.locator("dialog").getByRole("button", { name: "Delete doomed" });
  must(await go.isDisabled(), "it can be deleted without the name");
  await page.locator("dialog input").fill("doome");
  must(await go.isDisabled(), "half of the name will do");
  await page.locator("dialog input").fill("doomed");
  await page.keyboard.press("Enter");
  must((await dialogs()) === 0 && (await api("api/topics")).topics.includes("doomed"), "Enter in the field does not cancel");
  await button.click();
  await page.locator("dialog input").fill("doomed");
  await go.click();
  await page.getByText("Deleted topic doomed").waitFor();
  must(!(await api("api/topics")).topics.includes("doomed"), "it is still there");
});

await check("PauseCanBeUndone", async () => {
  await open("topics/orders/billing");
  await page.getByRole("button", { name: "Pause", exact: true }).click();
  await until("it is paused", async () => (await api("api/topics/orders/billing")).paused);
  await page.getByRole("button", { name: "Undo" }).click();
  await until("it goes on", async () => !(await api("api/topics/orders/billing")).paused);
});

await check("ClientIsClosed", async () => {
  const remote = await ask("/subscribe");
  await open("clients");
  const row = page.locator("tbody tr", { hasText: remote });
  await row.getByRole("button", { name: "Close…" }).click();
  must(/is disconnected/.test(await page.locator("dialog").textContent()), "it does not say what happens");
  await page.locator("dialog").getByRole("button", { name: "Close it" }).click();
  must((await ask("/subscribed")) === "closed", "the client is still connected");
  await row.waitFor({ state: "detached" });
});

await check("TombstoneAsksForTheName", async () => {
  await ask("/publish?n=2&topic=moved");
  await open(nodePage);
  const row = page.locator("tbody tr", { hasText: "moved" });
  await row.getByRole("button", { name: "Tombstone…" }).click();
  must(/2 messages will be lost/.test(await page.locator("dialog").textContent()), "it does not say what is lost");
  await page.locator("dialog input").fill("moved");
  await page.locator("dialog").getByRole("button", { name: "Tombstone" }).click();
  await page.getByText("Tombstoned moved").waitFor();
  await row.waitFor({ state: "detached" });
});

await check("DeadLettersAreReplayed", async () => {
  await ask("/publish?n=3&topic=orders.dead");
  await open("topics/orders.dead");
  const depth = page.locator(".facts dd").first();
  await until("three messages are seen", async () => (await depth.textContent()) === "3");
  await page.getByRole("button", { name: "Replay all…" }).click();
  must(/3 messages/.test(await page.locator("dialog").textContent()), "it does not say how many");
  must((await page.evaluate(() => document.activeElement.textContent)) === "Cancel", "the focus is not on the safe button");
  const to = page.locator("dialog").getByLabel("To topic");
  must((await to.inputValue()) === "orders", "it does not propose the topic they came from");
  await to.fill("orders.again");
  await page.locator("dialog").getByRole("button", { name: "Replay all" }).click();
  await page.getByText("Published 3 messages to orders.again").waitFor();
  await until("they have left", async () => (await depth.textContent()) === "0");
  await until("they have arrived", async () => (await api("api/topics")).topics.includes("orders.again") && (await api("api/topics/orders.again")).depth === 3);
  must(await page.getByRole("button", { name: "Replay all…" }).isDisabled(), "nothing can be replayed");
});

await check("DeadLettersAreDiscarded", async () => {
  await ask("/publish?n=2&topic=orders.dead");
  await until("two messages are seen", async () => (await page.locator(".facts dd").first().textContent()) === "2");
  await page.getByText("Danger").click();
  await page.getByRole("button", { name: "Discard all: drop 2 here and in channels…" }).click();
  must(/2 messages will be dropped/.test(await page.locator("dialog").textContent()), "it does not say what is lost");
  must((await page.evaluate(() => document.activeElement.textContent)) === "Cancel", "the focus is not on the safe button");
  const go = page.locator("dialog").getByRole("button", { name: "Discard all of orders.dead" });
  must(await go.isDisabled(), "they can be discarded without the name");
  await page.locator("dialog input").fill("orders.dead");
  await go.click();
  await page.getByText("Discarded all of topic orders.dead").waitFor();
  await until("the topic is empty", async () => (await api("api/topics/orders.dead")).depth === 0);
  await open("topics/orders");
  must((await page.getByRole("button", { name: "Replay all…" }).count()) === 0, "what holds no dead letters can be replayed");
});

await check("RegistrationIsRemoved", async () => {
  await ask("/publish?n=1&topic=listed");
  await open("lookup");
  const row = page.locator("tbody tr", { hasText: "listed" });
  await row.getByRole("button", { name: "Remove…" }).click();
  must(/no message is lost/.test(await page.locator("dialog").textContent()), "it does not say what happens");
  const go = page.locator("dialog").getByRole("button", { name: "Remove", exact: true });
  must(await go.isDisabled(), "a registration with a node can be removed without the name");
  await page.locator("dialog input").fill("listed");
  await go.click();
  await page.getByText("has forgotten topic listed").waitFor();
  const known = await api("api/v1/lookup");
  must(known.lookupds.length === 1 && !("topic:listed:" in known.lookupds[0].registrations), "it is still registered");
  await row.waitFor({ state: "detached" });
});

await check("LateConsumersAreMarked", async () => {
  await ask("/late");
  await open("topics/slow/c");
  await page.locator("tbody .pill", { hasText: /^[1-9]\d* late$/ }).waitFor();
  await ask("/gone");
});

await check("SetBack", async () => {
  await open("topics/orders/billing");
  await page.getByRole("button", { name: "Set back…" }).click();
  await page.getByLabel("From the oldest there is").check();
  await page.locator("dialog").getByRole("button", { name: "Set back" }).click();
  await page.getByText(/messages? will be delivered again/).waitFor();
});

await check("MadeAndFound", async () => {
  await open("topics");
  await page.getByRole("button", { name: "New topic…" }).click();
  await page.locator("dialog").getByRole("textbox", { name: "Topic", exact: true }).fill("brand.new");
  await page.locator("dialog").getByRole("textbox", { name: /^Channel/ }).fill("first");
  await page.keyboard.press("Enter");
  await page.getByText("Made channel first of topic brand.new").waitFor();
  await page.locator("tbody a.open", { hasText: "brand.new" }).waitFor();
  await page.getByLabel("Filter topics").fill("brand");
  must((await page.locator("tbody tr").count()) === 1, "the filter lets others through");
  must((await api("api/topics/brand.new/first")).channel_name === "first", "the channel is not there");
});

await check("Keyboard", async () => {
  await open("");
  await page.keyboard.press("g");
  await page.keyboard.press("t");
  await page.waitForURL(/\/topics$/);
  await page.locator("tbody a.open").first().waitFor();
  for (let i = 0; i < 20 && (await page.evaluate(() => document.activeElement.textContent)) !== "orders"; i++) await page.keyboard.press("j");
  await page.keyboard.press("Enter");
  await page.waitForURL(/\/topics\/orders$/);
  await until("the topic is there", async () => /\d/.test(await page.locator(".facts dd").first().textContent()));
  await page.keyboard.press("p");
  await until("p pauses", async () => (await api("api/topics/orders")).paused);
  await until("the page knows", async () => (await page.locator("h1 + .marks").textContent()) === "paused");
  await page.keyboard.press("p");
  await until("p goes on", async () => !(await api("api/topics/orders")).paused);
  await page.keyboard.press("?");
  must((await dialogs()) === 1, "? does not help");
  await page.keyboard.press("Enter");
  must((await dialogs()) === 0, "Enter does not close the help");
  await page.keyboard.press("/");
  await page.keyboard.type("billi");
  await page.locator("#found li").first().waitFor();
  await page.keyboard.press("Enter");
  await page.waitForURL(/\/topics\/orders\/billing$/);
  await page.keyboard.press("g");
  await page.keyboard.press("n");
  await page.waitForURL(/\/nodes$/);
});

await check("DarkAndLight", async () => {
  const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  await page.emulateMedia({ colorScheme: "light" });
  await open("topics/orders");
  const light = await ground();
  await page.emulateMedia({ colorScheme: "dark" });
  const dark = await ground();
  must(light !== dark, "the system's theme changes nothing");
  await page.locator("#theme").click(); // light, by hand
  must((await ground()) === light, "light is not light when the system is dark");
  await page.reload();
  await page.waitForFunction(() => /^live/.test(document.querySelector("#live span").textContent));
  must((await ground()) === light, "the choice is forgotten");
  await page.locator("#theme").click();
  must((await ground()) === dark, "dark is not dark");
  await page.locator("#theme").click(); // as the system has it
  await page.emulateMedia({ colorScheme: "light" });
  must((await ground()) === light, "auto does not follow the system");
});

for (const theme of ["light", "dark"]) {
  await check("Accessible_" + theme, async () => {
    await page.emulateMedia({ colorScheme: theme });
    const found = [];
    await ask("/publish?n=1&topic=orders.dead");
    for (const path of pages) {
      await open(path);
      if (/^topics/.test(path)) await page.locator("tbody tr").first().waitFor({ state: "attached" });
      for (const d of await page.locator("details.fold").all()) await d.evaluate((x) => { x.open = true; });
      found.push(...(await violations(path)));
    }
    for (const [path, name] of [["topics/orders", "Peek"], ["", "Publish…"], ["", "Delete topic orders…"], ["topics/orders.dead", "Replay all…"], ["", "Discard all"], ["lookup", "Remove…"]]) {
      if (path) await open(path);
      if (name[0] === "D") await page.locator(".danger-fold").evaluate((x) => { x.open = true; });
      await page.getByRole("button", { name }).first().click();
      await page.locator("dialog[open]").waitFor();
      if (name === "Peek") await page.locator(".message").first().waitFor();
      found.push(...(await violations(name)));
      await page.keyboard.press("Escape");
    }
    must(!found.length, found.join("; "));
  });
}

async function violations(where) {
  await page.evaluate(axe);
  const result = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  return result.violations.map((v) => `${where || "overview"}: ${v.id} at ${v.nodes.slice(0, 3).map((n) => n.target.join(" ") + " " + (n.any[0]?.message || "")).join(", ")}`);
}

await check("Narrow", async () => {
  await page.setViewportSize({ width: 360, height: 740 });
  const wide = [];
  for (const path of pages) {
    await open(path);
    const width = await page.evaluate(() => document.scrollingElement.scrollWidth);
    if (width > 360) wide.push(`${path || "overview"} is ${width} px wide`);
  }
  must(!wide.length, wide.join(", "));
  await page.setViewportSize({ width: 1280, height: 860 });
});

await check("ReadOnly", async () => {
  await open("topics/orders", readOnly);
  await page.locator("tbody tr").first().waitFor();
  for (const name of ["Pause", "Publish…", "New channel…"]) must((await page.getByRole("button", { name }).count()) === 0, `there is a button ${name}`);
  must((await page.getByText("Danger").count()) === 0, "there is a danger fold");
});

await check("PollsWhereStreamsDoNotPass", async () => {
  await page.route("**/api/v1/events*", (r) => r.abort());
  await page.goto(base + "topics/orders");
  await page.waitForFunction(() => document.querySelector("#live span").textContent === "live · 2 s");
  const depth = page.locator(".facts dd").first();
  await until("the depth is there", async () => /\d/.test(await depth.textContent()));
  const before = count(await depth.textContent());
  await ask("/publish?n=4");
  await until("the depth has moved", async () => count(await depth.textContent()) === before + 4);
  await page.unroute("**/api/v1/events*");
});

await check("AsksForNothingWhileHidden", async () => {
  await open("");
  const hide = (on) => page.evaluate((on) => {
    Object.defineProperty(document, "hidden", { value: on, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
  }, on);
  await hide(true);
  await until("it stops while nobody sees it", async () => (await page.locator("#live span").textContent()) === "paused");
  let asked = 0;
  page.on("request", () => asked++);
  await ask("/publish?n=1");
  must(asked === 0, `${asked} requests while hidden`);
  await hide(false);
  await page.waitForFunction(() => /^live/.test(document.querySelector("#live span").textContent));
});

await check("HoldsStill", async () => {
  await page.locator("#live").click();
  await until("it holds still", async () => (await page.locator("#live span").textContent()) === "paused");
  await page.locator("#live").click();
  await page.waitForFunction(() => /^live/.test(document.querySelector("#live span").textContent));
});

await check("NoComplaints", async () => must(!complaints.length, complaints.join("; ")));

await context.close();
rmSync(profile, { recursive: true, force: true });
process.exit(failed ? 1 : 0);

// Keeps the figures of a dashboard up to date, and shows those under the pointer.
// Without it the page is complete, as it was when it was loaded.
"use strict";

const EVERY_MS = 5000;
const PATIENCE_MS = 10000;
const STALE_S = 60;

const state = document.getElementById("state");
const said = document.getElementById("said");
let lastGood = Date.now();
let newestAge = null;
let timer = 0;

// -- refreshing -----------------------------------------------------------------------------------------------

async function refresh() {
  clearTimeout(timer);
  if (!document.hidden) {
    try {
      const answer = await fetch(location.href, { cache: "no-store", signal: AbortSignal.timeout(PATIENCE_MS) });
      if (answer.ok) {
        take(new DOMParser().parseFromString(await answer.text(), "text/html"));
      } else {
        lose(answer.status === 401 || answer.status === 403 ? "not allowed any more, load the page again" : `the gateway answers ${answer.status}`);
      }
    } catch {
      lose("the gateway does not answer");
    }
  }
  timer = setTimeout(refresh, EVERY_MS);
}

function take(fresh) {
  const now = document.getElementById("board");
  const next = fresh.getElementById("board");
  if (next === null) {
    lose("the gateway sent something else");
    return;
  }
  const focused = document.activeElement;
  const place = now.contains(focused) ? focused.closest("[id]") : null;
  const sections = [...now.querySelectorAll("section")];
  const coming = [...next.querySelectorAll("section")];
  if (sections.map((one) => one.id).join() === coming.map((one) => one.id).join()) {
    coming.forEach((section, index) => {
      const old = sections[index];
      if (old.className !== section.className) old.className = section.className;
      if (old.innerHTML !== section.innerHTML && !old.contains(pointed)) {
        old.replaceChildren(...section.childNodes);
        prepare(old);
      }
    });
  } else {
    now.replaceChildren(...next.childNodes);
    prepare(now);
  }
  if (place !== null && !document.contains(focused)) document.getElementById(place.id)?.querySelector("[tabindex]")?.focus();
  now.dataset.at = next.dataset.at;
  now.dataset.age = next.dataset.age;
  lastGood = Date.now();
  tell(fresh.getElementById("said").textContent);
}

function tell(words) {
  const age = document.getElementById("board").dataset.age;
  newestAge = age === "" ? null : Number(age);
  const stale = newestAge === null || newestAge > STALE_S;
  show(stale ? "stale" : "live", words);
}

function lose(why) {
  const at = new Date(lastGood).toISOString().slice(11, 19);
  show("lost", `Not connected: ${why}. These are the figures of ${at} UTC; trying again.`);
}

function show(kind, words) {
  state.className = `state ${kind}`;
  state.setAttribute("aria-live", kind === "live" ? "off" : "polite"); // what is usual is not read out each time
  if (said.textContent !== words) said.textContent = words;
}

document.addEventListener("visibilitychange", () => {
  if (!document.hidden) refresh();
});

// -- figures under the pointer, or at the arrow keys ---------------------------------------------------------------

let pointed = null; // the plot whose figures are shown: it is left as it is meanwhile

function prepare(within) {
  for (const plot of within.querySelectorAll(".plot")) {
    plot.tabIndex = 0;
    plot.setAttribute("role", "group");
    plot.setAttribute("aria-label", "Figures by time: use the left and right arrow keys");
  }
}

function lineAt(plot, share) {
  const lines = JSON.parse(plot.dataset.lines);
  const count = lines[0].length - 1;
  return { lines, count, step: Math.min(count - 1, Math.max(0, Math.floor(share * count))) };
}

function point(plot, step, lines, count) {
  leave();
  pointed = plot;
  plot.dataset.chosen = step;
  const chart = plot.querySelector("svg");
  const left = chart.getBoundingClientRect().left - plot.getBoundingClientRect().left;
  const x = left + (chart.getBoundingClientRect().width * (step + 0.5)) / count;
  const cursor = document.createElement("div");
  cursor.className = "cursor";
  cursor.style.left = `${x}px`;
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.setAttribute("role", "status");
  const at = new Date((Number(plot.dataset.start) + step * Number(plot.dataset.step)) * 1000).toISOString();
  const head = document.createElement("b");
  head.textContent = `${at.slice(5, 10)} ${at.slice(11, 16)}`;
  tip.append(head);
  lines.forEach((line, number) => {
    const row = document.createElement("div");
    const swatch = document.createElement("span");
    swatch.className = `swatch c${number % 6}`;
    row.append(swatch, `${line[0]}  ${line[step + 1] || "no data"}`);
    tip.append(row);
  });
  plot.append(cursor, tip);
  const room = plot.clientWidth - tip.offsetWidth;
  tip.style.left = `${Math.max(0, Math.min(room, x > plot.clientWidth / 2 ? x - tip.offsetWidth - 10 : x + 10))}px`;
}

function leave() {
  for (const old of document.querySelectorAll(".cursor, .tip")) old.remove();
  pointed = null;
}

document.addEventListener("pointermove", (event) => {
  const plot = event.target.closest?.(".plot");
  if (!plot) {
    if (pointed !== null && document.activeElement !== pointed) leave();
    return;
  }
  const box = plot.querySelector("svg").getBoundingClientRect();
  const { lines, count, step } = lineAt(plot, (event.clientX - box.left) / box.width);
  point(plot, step, lines, count);
});

document.addEventListener("focusout", leave);

document.addEventListener("keydown", (event) => {
  const plot = document.activeElement?.closest?.(".plot");
  if (!plot || !["ArrowLeft", "ArrowRight", "Escape"].includes(event.key)) return;
  if (event.key === "Escape") {
    leave();
    return;
  }
  const { lines, count } = lineAt(plot, 0);
  const from = plot.dataset.chosen === undefined ? count : Number(plot.dataset.chosen);
  const step = Math.min(count - 1, Math.max(0, from + (event.key === "ArrowRight" ? 1 : -1)));
  point(plot, step, lines, count);
  event.preventDefault();
});

prepare(document);
tell(said.textContent);
timer = setTimeout(refresh, EVERY_MS);

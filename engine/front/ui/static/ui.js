"use strict";
// Keeps a page fresh. Without it everything is there, as it was when the page was asked for.
(() => {
  const main = document.getElementById("main");
  const said = document.getElementById("live");
  const EVERY_MS = 5000, TICK_MS = 1000;
  let ahead = Date.parse(main.dataset.now) - Date.now();
  let reading = false, again = false;
  let polling = 0;

  const say = (text) => { if (said && said.textContent !== text) said.textContent = text; };

  // What somebody has opened stays open, and the cursor where it was.
  const take = (fresh) => {
    const open = new Set([...main.querySelectorAll("details[open]")].map((it) => it.closest("[id]").id));
    for (const it of fresh.querySelectorAll("details")) {
      const id = it.closest("[id]").id;
      if (main.contains(document.getElementById(id))) it.open = open.has(id);
    }
    const at = document.activeElement, where = at && at.closest && at.closest("li[id]");
    for (const part of main.querySelectorAll("[data-part]")) {
      const its = fresh.querySelector(`[data-part="${part.dataset.part}"]`);
      if (its) part.replaceWith(its);
    }
    if (where) document.getElementById(where.id)?.querySelector("summary")?.focus({ preventScroll: true });
    ahead = Date.parse(fresh.dataset.now) - Date.now();
    if (stream && !fresh.dataset.events) {
      stream.close();
      clearInterval(polling);
      return "the run has ended";
    }
    return "● live";
  };

  const read = async () => {
    if (reading) { again = true; return; }
    reading = true;
    try {
      const answer = await fetch(location.href, { redirect: "manual" });
      const isOver = answer.type === "opaqueredirect" || [401, 403].includes(answer.status);
      if (isOver) return location.reload();  // its login is, and the engine leads to a new one
      if (!answer.ok) throw new Error(answer.status);
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      say(take(document.adoptNode(page.getElementById("main"))));
    } catch { say("◌ the engine cannot be reached"); }
    reading = false;
    if (again) { again = false; read(); }
  };

  // `in 7s`, `due now`, `late 3s`: as the engine writes them, up to two minutes.
  const tick = () => {
    for (const it of main.querySelectorAll("[data-due]")) {
      const left = Math.ceil((Date.parse(it.dataset.due) - Date.now() - ahead) / 1000);
      const short = (s) => s < 60 ? `${s}s` : `${Math.floor(s / 60)}m${String(s % 60).padStart(2, "0")}`;
      if (Math.abs(left) > 120) continue;
      it.textContent = left > 0 ? `in ${short(left)}` : left > -1 ? "due now" : `late ${short(-left)}`;
    }
  };
  setInterval(tick, TICK_MS);

  const poll = () => {
    polling = setInterval(() => { if (!document.hidden) read(); }, EVERY_MS);
  };

  const stream = main.dataset.events ? new EventSource(main.dataset.events) : null;
  if (stream) {
    stream.addEventListener("changed", read);
    stream.onopen = () => say("● live");
    stream.onerror = () => {
      if (stream.readyState !== EventSource.CLOSED) return say("◌ reconnecting");
      read();  // it was refused, and opens no more; if the login is over, this leads to a new one
      poll();
    };
  } else if (main.dataset.fresh) {
    poll();
    say("● live");
  }

  // A step that is folded, or on another page, is found by the engine.
  let id = location.hash.slice(1);
  try { id = decodeURIComponent(id); } catch { /* it is no text, and so no step */ }
  if (id && (main.dataset.events || main.dataset.over)) {
    const there = document.getElementById(id);
    if (there) { const its = there.querySelector("details"); if (its) its.open = true; }
    else if (!location.search.includes("step=")) {
      location.replace(`${location.pathname}?step=${encodeURIComponent(id)}#${encodeURIComponent(id)}`);
    }
  }
})();

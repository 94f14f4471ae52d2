// What makes the pages more pleasant; without it they work too.
(() => {
  "use strict";
  const root = document.documentElement.dataset.root;

  // ------------------------------------------------------------------------------------------------------------ times

  const dayFormat = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

  function span(seconds) {
    const whole = Math.max(0, Math.floor(seconds));
    const two = (number) => String(number).padStart(2, "0");
    if (whole < 60) return `${whole} s`;
    if (whole < 3600) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`;
    const minutes = Math.floor(whole / 60);
    if (minutes < 1440) return `${Math.floor(minutes / 60)} h ${two(minutes % 60)} min`;
    return `${Math.floor(minutes / 1440)} d ${Math.floor(minutes / 60) % 24} h`;
  }

  function show(element, text) {
    if (element.textContent !== text) element.textContent = text;
  }

  function showTimes() {
    const now = Date.now();
    for (const element of document.querySelectorAll("time[datetime]")) {
      const then = Date.parse(element.dateTime);
      if (Number.isNaN(then)) continue;
      const ago = (now - then) / 1000;
      if (!element.dataset.shown) {
        element.dataset.shown = "1";
        element.title = `${dayFormat.format(then)} (${element.dateTime})`;
      }
      if (ago >= 0) show(element, ago < 5 ? "just now" : `${span(ago)} ago`);
      else show(element, `in ${span(-ago)}`);
    }
    for (const element of document.querySelectorAll(".counting[data-since]")) {
      show(element, (element.dataset.words || "") + span(now / 1000 - Number(element.dataset.since)));
    }
    for (const element of document.querySelectorAll("[data-from]")) {
      element.classList.toggle("past", now / 1000 >= Number(element.dataset.from));
    }
  }

  // ------------------------------------------------------------------------------------------------------ live updates

  const link = document.getElementById("link");
  let lost = false;

  function tell(kind, text) {
    if (!link) return;
    link.className = `link ${kind}`;
    show(link, text);
  }

  function follow() {
    const live = document.getElementById("live");
    if (!live) return;
    live.addEventListener("htmx:sse:after:connection", () => {
      lost = false;
      tell("on", "live");
    });
    live.addEventListener("htmx:sse:after:message", () => showTimes());
    live.addEventListener("htmx:sse:error", (event) => {
      const status = event.detail && event.detail.status;
      if (status === 401 || status === 404) location.reload();
      lost = true;
      tell("off", "connection lost, trying again");
    });
    live.addEventListener("htmx:error", () => tell("off", "not live: reload the page"));
    live.addEventListener("htmx:response:error", () => tell("off", "not live: reload the page"));
    live.addEventListener("closing", () => {
      lost = true;
      tell("off", "the daemon ends");
    });
    live.addEventListener("reload", () => location.reload());
    live.addEventListener("over", () => tell("", ""));
  }

  // ------------------------------------------------------------------------------------------------------------- theme

  function themes() {
    const button = document.getElementById("theme");
    if (!button) return;
    const names = ["auto", "light", "dark"];
    const shown = () => document.documentElement.dataset.theme || "auto";
    const label = () => {
      show(button, { auto: "◐ auto", light: "○ light", dark: "● dark" }[shown()]);
      button.setAttribute("aria-label", `${button.textContent} theme`);
    };
    button.hidden = false;
    label();
    button.addEventListener("click", () => {
      const next = names[(names.indexOf(shown()) + 1) % names.length];
      if (next === "auto") delete document.documentElement.dataset.theme;
      else document.documentElement.dataset.theme = next;
      try {
        if (next === "auto") localStorage.removeItem("prunner-theme");
        else localStorage.setItem("prunner-theme", next);
      } catch {
        // It lasts as long as the page.
      }
      label();
    });
  }

  // ---------------------------------------------------------------------------------------------------------- keyboard

  const places = { o: "", q: "#queue", j: "jobs", s: "system", d: "problems" };
  let pending = 0;
  let chosen = -1;

  function rows() {
    return [...document.querySelectorAll("[data-row]")].filter((row) => row.offsetParent !== null);
  }

  function choose(step) {
    const all = rows();
    if (!all.length) return;
    const current = all.findIndex((row) => row.contains(document.activeElement));
    chosen = Math.min(all.length - 1, Math.max(0, (current >= 0 ? current : chosen) + step));
    const target = all[chosen].querySelector("a, button");
    if (target) target.focus();
    all[chosen].scrollIntoView({ block: "nearest" });
  }

  function help() {
    const dialog = document.getElementById("help");
    if (!dialog) return;
    if (dialog.open) dialog.close();
    else dialog.showModal();
  }

  function keys() {
    const button = document.getElementById("help-button");
    if (button) {
      button.hidden = false;
      button.addEventListener("click", help);
    }
    document.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
      const target = event.target;
      if (target.closest && target.closest("input, textarea, select, [contenteditable]")) {
        if (event.key === "Escape") target.blur();
        return;
      }
      if (document.querySelector("dialog[open]") && event.key !== "?") return;
      if (pending && Date.now() - pending < 1500 && event.key in places) {
        pending = 0;
        event.preventDefault();
        location.href = root + places[event.key];
        return;
      }
      pending = 0;
      if (event.key === "g") pending = Date.now();
      else if (event.key === "j") choose(1);
      else if (event.key === "k") choose(-1);
      else if (event.key === "?") help();
      else if (event.key === "/") {
        const search = document.querySelector("[data-search]");
        if (!search) return;
        event.preventDefault();
        search.focus();
        search.select();
      }
    });
  }

  // ------------------------------------------------------------------------------------------------------------- filter

  // Narrows lists on this page as one types; a form with a search on the server has no data-filter.
  function filters() {
    for (const input of document.querySelectorAll("input[data-filter]")) {
      input.hidden = false;
      const apply = () => {
        const wanted = input.value.trim().toLowerCase();
        for (const row of document.querySelectorAll(`${input.dataset.filter} [data-row]`)) {
          row.classList.toggle("filtered", wanted !== "" && !row.textContent.toLowerCase().includes(wanted));
        }
      };
      input.addEventListener("input", apply);
      document.addEventListener("htmx:after:swap", apply);
    }
  }

  // A second click while the first is on its way would do the same again.
  function once() {
    document.addEventListener("submit", (event) => {
      const form = event.target;
      if (!form.matches("[data-once]")) return;
      if (form.dataset.sent) event.preventDefault();
      form.dataset.sent = "1";
    });
    addEventListener("pageshow", () => {
      for (const form of document.querySelectorAll("[data-sent]")) delete form.dataset.sent;
    });
  }

  document.documentElement.classList.add("scripted");
  addEventListener("DOMContentLoaded", () => {
    follow();
    once();
    themes();
    keys();
    filters();
    showTimes();
    setInterval(showTimes, 1000);
  });
  addEventListener("pageshow", (event) => {
    if (event.persisted && lost) location.reload();
  });
})();

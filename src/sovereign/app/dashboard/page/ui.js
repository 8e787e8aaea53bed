// Small parts every page is made of. Text is always set as text, never as markup.

import * as f from "./format.js";

export function h(tag, props, ...children) {
  const [name, ...classes] = tag.split(".");
  const element = document.createElement(name || "div");
  if (classes.length) element.className = classes.join(" ");
  for (const [key, value] of Object.entries(props ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2).toLowerCase(), value);
    else if (key === "class") element.classList.add(...String(value).split(" ").filter(Boolean));
    else if (key === "style") for (const [part, text] of Object.entries(value)) element.style.setProperty(part, text);
    else if (key === "value" || key === "checked" || key === "disabled" || key === "selected") element[key] = value;
    else element.setAttribute(key, value === true ? "" : value);
  }
  append(element, children);
  return element;
}

function append(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
}

export function fill(element, ...children) {
  element.replaceChildren();
  append(element, children);
  return element;
}

// A text that only touches the page when it changes.
export function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function svg(path, label) {
  const space = "http://www.w3.org/2000/svg";
  const icon = document.createElementNS(space, "svg");
  icon.setAttribute("viewBox", "0 0 24 24");
  icon.setAttribute("class", "icon");
  if (label) icon.setAttribute("aria-label", label);
  else icon.setAttribute("aria-hidden", "true");
  const line = document.createElementNS(space, "path");
  line.setAttribute("d", path);
  icon.append(line);
  return icon;
}

// A figure with its unit and source on hover and focus.
export function figure(text, { unit = "", source = "", extra = "", cls = "" } = {}) {
  return h("span.fig", { class: cls, "data-tip": [unit && `unit: ${unit}`, source && `source: ${source}`, extra].filter(Boolean).join("\n") }, text);
}

export function time(value, zone, shape = "clock") {
  if (f.toMs(value) === null) return h("span.dim", null, f.NONE);
  const text = { clock: f.clock, both: f.moment, minute: f.minute, date: f.day, short: f.shortClock }[shape](value, zone);
  return h("time", { "data-tip": `${f.utc(value)}\nshown in ${zone || "UTC"} (exchange time)`, datetime: new Date(f.toMs(value)).toISOString() }, text);
}

export function gainOf(value, options = {}) {
  const tone = f.tone(value);
  const mark = tone === "up" ? "\u25b2" : tone === "down" ? "\u25bc" : "";
  const shown = figure(f.gain(value), { unit: options.currency ?? "USD", source: options.source, extra: options.extra, cls: `num ${tone}` });
  if (options.mark && mark) shown.prepend(h("span.mark", { "aria-hidden": "true" }, mark));
  return shown;
}

export function side(value) {
  const isBuy = value === "BUY" || value === "LONG" || Number(value) > 0;
  const text = typeof value === "string" ? value : isBuy ? "LONG" : "SHORT";
  if (value === "NONE" || value === 0) return h("span.side.flat", null, "context");
  return h(`span.side.${isBuy ? "buy" : "sell"}`, null, h("span", { "aria-hidden": "true" }, isBuy ? "\u25b2 " : "\u25bc "), text);
}

export function tile(title, value, below) {
  return h("div.tile", null, h("span.label", null, title), h("span.value", null, value), h("span.below", null, below ?? "\u00a0"));
}

export function badge(text, kind = "", tip = "") {
  return h(`span.badge`, { class: kind, "data-tip": tip || null }, text);
}

export function verdict(value) {
  const shape = { APPROVED: ["ok", "\u2713 approved"], RESIZED: ["ok", "\u2713 resized"], REFUSED: ["muted", "\u00d7 refused"] }[value] ?? ["", f.words(value)];
  return badge(shape[1], shape[0]);
}

export function panel(title, { id, actions, cls = "", note = "" } = {}) {
  const body = h("div.panel-body");
  const heading = h("h2", { id: id ? `${id}-title` : null }, title);
  const extra = h("span.panel-note", null, note);
  const element = h("section.panel", { class: cls, id, "aria-labelledby": id ? `${id}-title` : null, "aria-label": id ? null : title }, h("header", null, heading, extra, h("span.grow"), actions ?? null), body);
  return { element, body, note: extra, heading };
}

export function empty(title, text, action) {
  return h("div.empty", null, h("strong", null, title), text ? h("p", null, text) : null, action ?? null);
}

export function loading(text = "Loading ...") {
  return h("div.loading", { role: "status" }, h("span.spinner", { "aria-hidden": "true" }), text);
}

export function problem(error, again) {
  return h("div.empty.bad", { role: "alert" }, h("strong", null, "This could not be shown"), h("p", null, error.message ?? String(error)), again ? h("button", { onClick: again }, "Try again") : null);
}

// A table with columns {name, title, unit, source, cell(row), num, sort(row), cls}. Rows have keys; sorting by a click or Enter.
export function table(columns, { key, label, onRow, emptyText = "Nothing yet", rowClass, sticky = true, pick } = {}) {
  let rows = [];
  let order = null;
  const body = h("tbody");
  const heads = columns.map((column, at) => {
    const title = column.title ?? column.name;
    const tip = [column.unit && `unit: ${column.unit}`, column.source && `source: ${column.source}`].filter(Boolean).join("\n");
    const button = column.sort
      ? h("button.sort", { onClick: () => sortBy(at), "data-tip": tip || null }, title)
      : h("span", { "data-tip": tip || null }, title);
    return h("th", { scope: "col", class: [column.num ? "num" : "", column.cls ?? ""].join(" "), "aria-sort": column.sort ? "none" : null }, button);
  });
  const element = h("table", { "aria-label": label, class: sticky ? "sticky" : "" }, h("thead", null, h("tr", null, heads)), body);
  const frame = h("div.scroll", { tabindex: "0", role: "region", "aria-label": label }, element);

  function sortBy(at) {
    order = order && order.at === at ? (order.dir === -1 ? { at, dir: 1 } : null) : { at, dir: -1 };
    heads.forEach((head, place) => columns[place].sort && head.setAttribute("aria-sort", order?.at === place ? (order.dir > 0 ? "ascending" : "descending") : "none"));
    draw();
  }

  function draw() {
    let shown = rows;
    if (order) {
      const value = columns[order.at].sort;
      shown = [...rows].sort((a, b) => {
        const [x, y] = [value(a), value(b)];
        if (x === y) return 0;
        if (x === null || x === undefined) return 1;
        if (y === null || y === undefined) return -1;
        return (x < y ? -1 : 1) * order.dir;
      });
    }
    if (!shown.length) {
      fill(body, h("tr.none", null, h("td", { colspan: columns.length }, emptyText)));
      return;
    }
    fill(body, shown.map((row) => {
      const line = h("tr", { "data-key": key ? key(row) : null, class: [rowClass ? rowClass(row) : "", onRow ? "open" : "", pick && pick() === key(row) ? "picked" : ""].join(" "), tabindex: onRow ? "0" : null, "aria-label": null });
      columns.forEach((column) => line.append(h("td", { class: [column.num ? "num" : "", column.cls ?? ""].join(" "), "data-label": column.title ?? column.name }, column.cell(row))));
      if (onRow) {
        line.addEventListener("click", (event) => { if (!event.target.closest("button,a,input")) onRow(row); });
        line.addEventListener("keydown", (event) => { if (event.key === "Enter" && event.target === line) { event.preventDefault(); onRow(row); } });
      }
      return line;
    }));
  }

  body.addEventListener("keydown", (event) => {
    if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
    const next = event.key === "ArrowDown" ? event.target.nextElementSibling : event.target.previousElementSibling;
    if (next?.hasAttribute("tabindex")) { event.preventDefault(); next.focus(); }
  });
  draw();
  return {
    element: frame,
    set(next) { rows = next; const focused = document.activeElement?.dataset?.key; const inside = body.contains(document.activeElement); draw(); if (inside && focused) body.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus(); },
    get rows() { return rows; },
    draw,
  };
}

export function meter(frac, { label, warnAt = 0.6, badAt = 0.85, isGoal = false, isCount = false } = {}) {
  const part = Math.max(0, Math.min(1, Number(frac) || 0));
  // A count that is used up is a limit that does its work; only money that is lost is a danger.
  const kind = isGoal ? "goal" : isCount ? (part >= 1 ? "full" : "fine") : part >= badAt ? "bad" : part >= warnAt ? "warn" : "fine";
  return h("div.meter", { role: "meter", "aria-valuemin": "0", "aria-valuemax": "100", "aria-valuenow": String(Math.round(part * 100)), "aria-label": label, class: kind }, h("span", { style: { width: `${part * 100}%` } }));
}

// Tooltips for whatever carries data-tip, by pointer and by keyboard.
export function startTips() {
  const tip = h("div.tip", { role: "tooltip", hidden: true });
  document.body.append(tip);
  let owner = null;
  function show(target) {
    if (!target?.dataset?.tip) return hide();
    owner = target;
    tip.textContent = target.dataset.tip;
    tip.hidden = false;
    const box = target.getBoundingClientRect();
    const own = tip.getBoundingClientRect();
    const left = Math.min(innerWidth - own.width - 8, Math.max(8, box.left + box.width / 2 - own.width / 2));
    const above = box.top - own.height - 8;
    tip.style.setProperty("left", `${left}px`);
    tip.style.setProperty("top", `${above > 8 ? above : box.bottom + 8}px`);
  }
  function hide() { owner = null; tip.hidden = true; }
  document.addEventListener("pointerover", (event) => show(event.target.closest?.("[data-tip]")));
  document.addEventListener("focusin", (event) => show(event.target.closest?.("[data-tip]")));
  document.addEventListener("focusout", hide);
  document.addEventListener("scroll", hide, true);
  document.addEventListener("keydown", (event) => { if (event.key === "Escape" && owner) hide(); });
  setInterval(() => { if (owner && !owner.isConnected) hide(); }, 500);
}

// A dialog that gives back what `make` resolves with; Escape and the backdrop give null.
export function dialog(title, make, { wide = false, cls = "" } = {}) {
  return new Promise((resolve) => {
    const before = document.activeElement;
    const box = h("dialog.dialog", { "aria-label": title, class: [wide ? "wide" : "", cls].join(" ") });
    let isOver = false;
    const done = (value) => { if (isOver) return; isOver = true; box.close(); box.remove(); if (before?.isConnected) before.focus(); resolve(value); };
    const body = h("div.dialog-body");
    box.append(h("header", null, h("h2", null, title), h("span.grow"), h("button.plain", { "aria-label": "Close", onClick: () => done(null) }, "\u00d7")), body);
    box.addEventListener("cancel", (event) => { event.preventDefault(); done(null); });
    box.addEventListener("click", (event) => { if (event.target === box) done(null); });
    document.body.append(box);
    append(body, [make(done)]);
    box.showModal();
    (box.querySelector("[autofocus]") ?? box.querySelector("input,textarea,select") ?? box.querySelector("button:not(.plain)"))?.focus();
  });
}

let toasts = null;
export function toast(text, kind = "") {
  toasts ??= document.body.appendChild(h("div.toasts", { role: "status", "aria-live": "polite" }));
  const one = h("div.toast", { class: kind }, text);
  toasts.append(one);
  setTimeout(() => one.remove(), kind === "bad" ? 9000 : 5000);
}

export function checks(list) {
  return h("table.checks", { "aria-label": "Checks" },
    h("thead", null, h("tr", null, ["", "check", "value", "limit", "unit"].map((name, at) => h("th", { scope: "col", class: at === 2 || at === 3 ? "num" : "" }, name || h("span.hidden", null, "result"))))),
    h("tbody", null, list.map((one) => h("tr", { class: one.passed ? "" : "failed" },
      h("td", null, one.passed ? h("span.up", { "aria-label": "passed" }, "\u2713") : h("span.down", { "aria-label": "failed" }, "\u00d7")),
      h("td.wrap", null, f.words(one.name), one.note ? h("div.dim", null, one.note) : null), h("td.num", null, loose(one.value)), h("td.num", null, loose(one.limit)), h("td.dim.unit", null, one.unit)))));
}

export function loose(value) {
  if (value === null || value === undefined) return "unknown";
  if (typeof value !== "number") return String(value);
  const size = Math.abs(value);
  if (Number.isInteger(value) && size < 1e9) return f.fixed(value, 0);
  return f.fixed(value, size >= 1000 ? 2 : size >= 1 ? 3 : 4);
}

// What is asked for again and again is done once, a little later.
export function soon(act, ms = 300) {
  let timer = null;
  return () => { timer ??= setTimeout(() => { timer = null; act(); }, ms); };
}

export function someOf(list, most = 3) {
  return list.length <= most + 1 ? list.join(", ") : `${list.slice(0, most).join(", ")} and ${list.length - most} more`;
}

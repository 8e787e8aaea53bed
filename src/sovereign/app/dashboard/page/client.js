// The API and the token. The access key comes once in the address (behind the #, which no server sees) and stays in this tab.

import { dialog, h, toast } from "./ui.js";

const KEY = "sovereign.key";
const NAME = "sovereign.name";
let token = null;
let expires = 0;

export function takeKeyFromAddress() {
  const found = /[#&]key=([^&]+)/.exec(location.hash);
  if (!found) return;
  sessionStorage.setItem(KEY, decodeURIComponent(found[1]));
  history.replaceState(null, "", location.pathname + location.search + location.hash.replace(/[#&]key=[^&]+/, ""));
}

export class Problem extends Error {
  constructor(status, error, message) {
    super(message);
    this.status = status;
    this.error = error;
  }
}

async function call(method, path, body, { isAuthorized = false, signal } = {}) {
  const headers = {};
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (isAuthorized && token) headers.Authorization = `Bearer ${token}`;
  let response;
  try {
    response = await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body), signal, cache: "no-store" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, "unreachable", "the dashboard's server does not answer");
  }
  const kind = response.headers.get("content-type") ?? "";
  const answer = kind.includes("json") ? await response.json() : await response.text();
  if (!response.ok || response.status === 202) throw new Problem(response.status, answer?.error ?? "failed", answer?.message ?? `the server answered ${response.status}`);
  return answer;
}

export async function get(path, query = {}, options = {}) {
  const words = new URLSearchParams(Object.entries(query).filter(([, value]) => value !== null && value !== undefined && value !== ""));
  const address = `/api/v1${path}${words.size ? `?${words}` : ""}`;
  if (token && Date.now() / 1000 > expires - 30) await renew();
  try {
    return await call("GET", address, undefined, { isAuthorized: true, ...options });
  } catch (error) {
    if (error.status !== 401) throw error;
    await login();
    return call("GET", address, undefined, { isAuthorized: true, ...options });
  }
}

export function bearer() { return token; }
export function who() { return localStorage.getItem(NAME) || ""; }

function keep(grant) { token = grant.token; expires = grant.expires_s; }

async function renew() {
  if (!token) return;
  try { keep(await call("POST", "/api/v1/token/renew", {}, { isAuthorized: true })); } catch { token = null; }
}
setInterval(() => { if (token && Date.now() / 1000 > expires - 120) renew(); }, 30000);

let asking = null;
export function login(force = false) {
  if (token && Date.now() / 1000 < expires - 5 && !force) return Promise.resolve(true);
  asking ??= tryKeys().finally(() => { asking = null; });
  return asking;
}

async function tryKeys() {
  const kept = sessionStorage.getItem(KEY);
  if (kept) {
    try { keep(await call("POST", "/api/v1/token", { key: kept, name: who() })); return true; } catch (error) { if (error.status !== 401) throw error; sessionStorage.removeItem(KEY); }
  }
  const done = await dialog("Access key", (close) => {
    const field = h("input", { type: "password", autocomplete: "off", id: "key-field", autofocus: true, required: true });
    const name = h("input", { type: "text", id: "name-field", maxlength: "60", value: who(), placeholder: "for the record" });
    const note = h("p.bad-text", { role: "alert" });
    return h("form", { onSubmit: async (event) => {
      event.preventDefault();
      try {
        localStorage.setItem(NAME, name.value.trim());
        keep(await call("POST", "/api/v1/token", { key: field.value, name: name.value.trim() }));
        sessionStorage.setItem(KEY, field.value);
        close(true);
      } catch (error) { note.textContent = error.message; field.select(); }
    } },
    h("p", null, "Commands need the key that was printed when the dashboard started (or dashboard.key of the settings)."),
    h("label", { for: "key-field" }, "Key"), field, h("label", { for: "name-field" }, "Your name"), name, note,
    h("div.buttons", null, h("button.primary", { type: "submit" }, "Continue")));
  });
  if (!done) throw new Problem(401, "token", "no access key was given");
  return true;
}

export async function send(method, path, body) {
  await login();
  try {
    return await call(method, `/api/v1${path}`, body, { isAuthorized: true });
  } catch (error) {
    if (error.status !== 401) throw error;
    token = null;
    await login(true);
    return call(method, `/api/v1${path}`, body, { isAuthorized: true });
  }
}
export const post = (path, body = {}) => send("POST", path, body);

const WORDS = {
  HALT: ["Halt trading", "Cancels every order, closes every position, and opens nothing until resumed. Holds over restarts.", "danger"],
  FLATTEN: ["Flatten", "Cancels every order and closes every position, then goes on trading.", "danger"],
  RESUME: ["Resume trading", "Clears halts, and the kill of the account named below, in your name. The strategy may open positions at once.", "primary"],
  STOP: ["Stop the session", "Ends the trading process in good order. Positions stay as they are, and nobody manages them.", "danger"],
  KILL: ["Kill", "Latches every account, cancels and closes everything at the venue from here, past any session. It is cleared on the page Operations.", "danger"],
  RECONCILE: ["Reconcile", "Compares books with the broker now.", "primary"],
  REDUCE: ["Reduce only", "Opens nothing new; what is open may be closed.", "primary"],
};

export async function command(kind, { account, strategy } = {}, instance) {
  const [title, text, style] = WORDS[kind];
  const word = instance?.confirmations?.[kind] ?? "";
  const given = await dialog(title, (close) => {
    const reason = h("input", { type: "text", id: "why-field", maxlength: "400", placeholder: "for the record" });
    const typed = h("input", { type: "text", id: "confirm-field", autocomplete: "off", spellcheck: "false", "aria-describedby": "confirm-help", autofocus: Boolean(word) });
    const go = h(`button.${style}`, { type: "submit", disabled: Boolean(word) }, title);
    typed.addEventListener("input", () => { go.disabled = Boolean(word) && typed.value !== word; });
    return h("form", { onSubmit: (event) => { event.preventDefault(); if (!go.disabled) close({ reason: reason.value, confirm: typed.value }); } },
      h("p", null, text), h("p.dim", null, account ? account === "*" ? "The kill of every account" : `Account ${account}${strategy ? `, ${strategy}` : ""}` : "Every session that runs"),
      word ? [h("label", { for: "confirm-field", id: "confirm-help" }, "Type ", h("kbd", null, word), " to confirm"), typed] : null,
      h("label", { for: "why-field" }, "Reason"), reason,
      h("div.buttons", null, h("button", { type: "button", onClick: () => close(null) }, "Cancel"), go));
  });
  if (!given) return null;
  const path = kind === "KILL" ? "/kill" : `/session/${kind.toLowerCase()}`;
  try {
    const body = { reason: given.reason, confirm: given.confirm };
    if (kind !== "KILL") Object.assign(body, { account: account || null, strategy: strategy || null });
    const answer = await post(path, body);
    if (kind === "KILL") toast(answer.is_flat ? "Killed: every account is flat, the venue says so" : "NOT FLAT as far as is known: look at the venue", answer.is_flat ? "ok" : "bad");
    for (const one of answer.asked ?? []) toast(`${one.account} ${one.strategy ?? ""}: ${one.answer}`, one.is_done === false ? "bad" : "ok");
    for (const name of answer.cleared ?? []) toast(`cleared the kill of ${name === "*" ? "every account" : name}`, "ok");
    for (const name of answer.standing ?? []) toast(`the kill of ${name === "*" ? "every account" : name} still holds: clear it on the page Operations`, "bad");
    return answer;
  } catch (error) {
    toast(`${title}: ${error.message}`, "bad");
    return null;
  }
}

// Numbers, money, prices and times as text. Times are given in nanoseconds as text or in milliseconds as numbers.

export const NONE = "\u2013";
const MINUS = "\u2212";

const number = new Map();
function formatter(digits) {
  if (!number.has(digits)) {
    number.set(digits, new Intl.NumberFormat("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits }));
  }
  return number.get(digits);
}

export function known(value) {
  return value !== null && value !== undefined && value !== "" && Number.isFinite(Number(value));
}

export function fixed(value, digits = 2, { sign = false } = {}) {
  if (!known(value)) return NONE;
  const plain = Number(value);
  const text = formatter(digits).format(Math.abs(plain));
  const isZero = Number(text.replaceAll(",", "")) === 0;
  return (plain < 0 && !isZero ? MINUS : sign && !isZero ? "+" : "") + text;
}

export const money = (value, options) => fixed(value, 2, options);
export const gain = (value) => fixed(value, 2, { sign: true });
export const whole = (value, options) => fixed(value, 0, options);

export function percent(frac, digits = 0) {
  return known(frac) ? `${fixed(Number(frac) * 100, digits)}%` : NONE;
}

export function price(ticks, tick) {
  if (!known(ticks)) return NONE;
  if (!tick || !tick.tick_size) return fixed(ticks, 1);
  return fixed(Number(ticks) * tick.tick_size, tick.precision ?? 2);
}

export function compact(value) {
  if (!known(value)) return NONE;
  const plain = Number(value);
  const size = Math.abs(plain);
  const text = size < 10000 ? String(Math.round(size)) : size < 999500 ? `${(size / 1e3).toFixed(size < 99950 ? 1 : 0)}k` : `${(size / 1e6).toFixed(1)}M`;
  return (plain < 0 ? MINUS : "") + text;
}

export function toMs(time) {
  if (time === null || time === undefined || time === "") return null;
  return typeof time === "number" ? time : Number(time) / 1e6;
}

// Nanoseconds keep their digits as text; only whole milliseconds are ever added.
export function addMs(ns, ms) {
  return (BigInt(ns) + BigInt(Math.round(ms)) * 1000000n).toString();
}
export const fromMs = (ms) => (BigInt(Math.round(ms)) * 1000000n).toString();

const zones = new Map();
function zoned(zone, kind) {
  const key = `${zone} ${kind}`;
  if (!zones.has(key)) {
    const clock = { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" };
    const date = { year: "numeric", month: "2-digit", day: "2-digit" };
    const shape = {
      clock, short: { hour: "2-digit", minute: "2-digit", hourCycle: "h23" }, date, both: { ...date, ...clock },
      zone: { timeZoneName: "short" },
    }[kind];
    let made;
    try {
      made = new Intl.DateTimeFormat("en-CA", { ...shape, timeZone: zone || "UTC" });
    } catch {
      made = new Intl.DateTimeFormat("en-CA", { ...shape, timeZone: "UTC" });
    }
    zones.set(key, made);
  }
  return zones.get(key);
}

export function clock(time, zone) {
  const ms = toMs(time);
  return ms === null ? NONE : zoned(zone, "clock").format(ms);
}
export function shortClock(time, zone) {
  const ms = toMs(time);
  return ms === null ? NONE : zoned(zone, "short").format(ms);
}
export function day(time, zone) {
  const ms = toMs(time);
  return ms === null ? NONE : zoned(zone, "date").format(ms);
}
export function moment(time, zone) {
  const ms = toMs(time);
  return ms === null ? NONE : zoned(zone, "both").format(ms).replace(",", "");
}
export const minute = (time, zone) => (toMs(time) === null ? NONE : moment(time, zone).slice(0, 16));
export function zoneName(time, zone) {
  const ms = toMs(time) ?? Date.now();
  return zoned(zone, "zone").formatToParts(ms).find((part) => part.type === "timeZoneName")?.value ?? "UTC";
}
export function utc(time) {
  const ms = toMs(time);
  return ms === null ? "" : `${new Date(ms).toISOString().replace("T", " ").replace("Z", "")} UTC`;
}

export function span(ms) {
  if (!known(ms)) return NONE;
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${String(seconds % 60).padStart(2, "0")} s`;
  return `${Math.floor(seconds / 3600)} h ${String(Math.floor((seconds % 3600) / 60)).padStart(2, "0")} min`;
}

export function age(seconds) {
  if (!known(seconds)) return NONE;
  const plain = Math.max(0, Number(seconds));
  return plain < 10 ? `${plain.toFixed(1)} s` : plain < 120 ? `${Math.round(plain)} s` : plain < 7200 ? `${Math.round(plain / 60)} min` : plain < 172800 ? `${Math.round(plain / 3600)} h` : `${Math.round(plain / 86400)} d`;
}

export function words(code) {
  return String(code ?? "").replaceAll("_", " ").toLowerCase();
}

export function tone(value) {
  if (!known(value) || Number(value) === 0) return "";
  return Number(value) > 0 ? "up" : "down";
}

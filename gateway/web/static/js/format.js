// Numbers, ages and times as people read them. Rounding happens here and nowhere else.
import { locale, t } from "./i18n.js";

const NONE = "–";
const formats = new Map();

function cached(kind, key, make) {
  const name = `${kind}|${locale()}|${key}`;
  if (!formats.has(name)) formats.set(name, make());
  return formats.get(name);
}

/** `value` with exactly `decimals`; an unknown value is a dash, never 0. */
export function number(value, decimals = 0) {
  if (value === undefined || value === null || Number.isNaN(value)) return NONE;
  const format = cached("number", decimals, () => new Intl.NumberFormat(locale(), {
    minimumFractionDigits: decimals, maximumFractionDigits: decimals,
  }));
  return format.format(Math.abs(value) < 0.5 * 10 ** -decimals ? 0 : value);
}

/** Decimals that give the largest of `values` about four digits, so a column keeps one point. */
export function decimalsFor(values) {
  const largest = Math.max(0, ...values.filter((v) => v !== undefined && v !== null).map(Math.abs));
  if (largest >= 1000) return 0;
  return largest >= 100 ? 1 : 2;
}

export function percent(share) {
  return cached("percent", 0, () => new Intl.NumberFormat(locale(), {
    style: "percent", maximumFractionDigits: share < 0.1 ? 1 : 0,
  })).format(share);
}

/** `CO2` or `CO2e` as it is printed; before the first figure the gas is not known. */
export const gas = (name) => (name ?? "CO2").replace("CO2", "CO₂");

export function bytes(count) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let step = 0;
  let value = count;
  while (value >= 1000 && step < units.length - 1) { value /= 1000; step += 1; }
  return `${number(value, value < 10 && step > 1 ? 1 : 0)} ${units[step]}`;
}

/** How long ago, coarse as it grows. */
export function age(ms) {
  if (ms === undefined || ms === null) return NONE;
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < 120) return t("age.seconds", { n: seconds });
  if (seconds < 7200) return t("age.minutes", { n: Math.floor(seconds / 60) });
  if (seconds < 172800) return t("age.hours", { n: Math.floor(seconds / 3600) });
  return t("age.days", { n: Math.floor(seconds / 86400) });
}

/** The length of an interval, in its natural unit. */
export function span(seconds) {
  if (seconds % 3600 === 0) return t("age.hours", { n: seconds / 3600 });
  return seconds % 60 === 0 ? t("age.minutes", { n: seconds / 60 }) : t("age.seconds", { n: seconds });
}

function timeFormat(zone, options) {
  return cached("time", zone + JSON.stringify(options), () => new Intl.DateTimeFormat(locale(), {
    timeZone: zone, hourCycle: "h23", ...options,
  }));
}

export function clockTime(ms, zone, { seconds = false } = {}) {
  const options = { hour: "2-digit", minute: "2-digit" };
  if (seconds) options.second = "2-digit";
  return timeFormat(zone, options).format(ms);
}

export function dateTime(ms, zone) {
  return timeFormat(zone, {
    month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit",
  }).format(ms);
}

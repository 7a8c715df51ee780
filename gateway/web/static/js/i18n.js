// Words of the page. One JSON per language; a value is a text or its plural forms.
import { getJson } from "./api.js";

const LANGUAGES = ["en", "zh"];
const LOCALES = { en: "en-GB", zh: "zh-CN" };

let words = {};
let current = "en";
let plural = new Intl.PluralRules("en");

export function language() { return current; }
export function locale() { return LOCALES[current]; }

/** The language the reader chose before, else the site's. */
export function preferred(siteLanguage) {
  const chosen = localStorage.getItem("language");
  return LANGUAGES.includes(chosen) ? chosen : siteLanguage;
}

export async function setLanguage(name, { remember = false } = {}) {
  words = await getJson(`/static/i18n/${name}.json`);
  current = name;
  plural = new Intl.PluralRules(locale());
  if (remember) localStorage.setItem("language", name);
  document.documentElement.lang = name === "zh" ? "zh-CN" : name;
  for (const element of document.querySelectorAll("[data-i18n]")) {
    element.textContent = t(element.dataset.i18n);
  }
}

export function otherLanguage() { return current === "zh" ? "en" : "zh"; }

/** The text of `key` with {names} filled; `count` or `n` chooses the plural form. */
export function t(key, args = {}) {
  let text = words[key];
  if (text === undefined) {
    console.error(`no words for "${key}" in ${current}`);
    return key;
  }
  if (typeof text === "object") {
    text = text[plural.select(args.count ?? args.n ?? 0)] ?? text.other;
  }
  return text.replace(/\{(\w+)\}/g, (_, name) => shown(args[name]));
}

function shown(value) {
  return typeof value === "number" ? new Intl.NumberFormat(locale()).format(value) : (value ?? "–");
}

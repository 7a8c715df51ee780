// The table of meters: one row each, built once, then only its texts change.
import { byId, make, say } from "./dom.js";
import * as format from "./format.js";
import { t } from "./i18n.js";
import { emission, serverNow, state } from "./state.js";

const rows = new Map(); // meter id → its cells
const DEPTH_MAX = 3;
const HARMLESS = new Set(["derived", "counter_rollover", "late_backfilled"]); // how it was got, not a doubt

export function buildMeters(choose) {
  rows.clear();
  byId("meter-rows").replaceChildren(...state.meters.map((meter) => buildRow(meter, choose)));
}

function buildRow(meter, choose) {
  const dot = make("span", "dot");
  const label = make("span", "visually-hidden");
  const id = make("span", "id", meter.name ? meter.id : "");
  const name = make("button", "meter-name", dot, make("b", "", meter.name || meter.id), id, label);
  name.type = "button";
  name.setAttribute("aria-pressed", "false");
  name.addEventListener("click", () => choose(meter.id));
  const cell = (className) => {
    const element = make("td", className);
    element.setAttribute("role", "cell");
    return element;
  };
  const cells = {
    name, dot, label,
    power: make("span"), bar: make("i"), reason: make("p", "reason"),
    energy: cell("number"), pf: cell("number"), co2: cell("number"), age: cell("number age"),
  };
  const power = cell("number power");
  power.append(cells.power);
  if (meter.rated_power_w) power.append(make("div", "bar", cells.bar));
  const first = cell("");
  first.append(name, cells.reason);
  cells.row = make("tr", `depth-${Math.min(meter.depth, DEPTH_MAX)}`,
    first, power, cells.energy, cells.pf, cells.co2, cells.age);
  cells.row.setAttribute("role", "row");
  cells.row.dataset.meter = meter.id;
  rows.set(meter.id, cells);
  return cells.row;
}

export function showMeters(chosen) {
  say(byId("meters-gas"), format.gas(state.status.carbon.gas));
  const all = state.meters.map((meter) => figuresOf(meter, state.live.get(meter.id)));
  const decimals = {
    power: format.decimalsFor(all.map((row) => row.power)),
    energy: format.decimalsFor(all.map((row) => row.energy)),
    co2: format.decimalsFor(all.map((row) => row.co2)),
  };
  for (const row of all) showRow(row, rows.get(row.meter.id), decimals, chosen);
}

function figuresOf(meter, payload) {
  const values = payload?.values ?? {};
  const running = payload?.running ?? {};
  return {
    meter,
    payload,
    power: kilo(values.active_power_w),
    energy: kilo(energyOf(meter, running)),
    pf: values.power_factor ?? running.power_factor,
    co2: payload && emission(payload)?.kg,
  };
}

/** What the meter is there for: a generator's export, with the sign of its power; else the import. */
function energyOf(meter, running) {
  const exported = running.active_energy_export_wh;
  if (meter.role === "generation" && exported !== undefined) return -exported;
  return running.active_energy_import_wh;
}

const kilo = (value) => (value === undefined ? undefined : value / 1000);

function showRow(figures, cells, decimals, chosen) {
  const { meter, payload } = figures;
  say(cells.power, format.number(figures.power, decimals.power));
  say(cells.energy, format.number(figures.energy, decimals.energy));
  say(cells.pf, format.number(figures.pf, 3));
  say(cells.co2, format.number(figures.co2, decimals.co2));
  if (meter.rated_power_w) {
    const share = Math.min(1, Math.abs((figures.power ?? 0) * 1000) / meter.rated_power_w);
    cells.bar.style.width = `${(100 * share).toFixed(1)}%`;
  }
  const condition = conditionOf(meter.id);
  const flags = (payload?.quality ?? []).filter((flag) => !HARMLESS.has(flag));
  cells.row.classList.toggle("silent", condition === "silent");
  cells.row.classList.toggle("waiting", condition === "waiting");
  cells.dot.className = `dot ${dotOf(condition, flags)}`;
  say(cells.label, t(`meters.${condition}`));
  say(cells.reason, reasonOf(meter.id, condition, flags));
  cells.name.setAttribute("aria-pressed", String(chosen === meter.id));
  showAge(meter.id, cells);
}

function dotOf(condition, flags) {
  if (condition === "waiting") return "";
  return condition === "silent" || flags.length ? "warning" : "ok";
}

function reasonOf(id, condition, flags) {
  if (condition !== "answering") return state.trouble[id]?.reason ?? "";
  return flags.length ? t("meters.quality", { flags: flags.join(t("list.separator")) }) : "";
}

function conditionOf(id) {
  const { silent, waiting } = state.status.meters;
  if (silent.includes(id)) return "silent";
  return waiting.includes(id) ? "waiting" : "answering";
}

function showAge(id, cells) {
  const payload = state.live.get(id);
  say(cells.age, payload ? format.age(serverNow() - Date.parse(payload.t)) : format.age(null));
}

export function showAges() {
  for (const [id, cells] of rows) showAge(id, cells);
}

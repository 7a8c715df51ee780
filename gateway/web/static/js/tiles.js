// The four figures of the site, summed over the meters that stand for it.
import { byId, say } from "./dom.js";
import * as format from "./format.js";
import { t } from "./i18n.js";
import { nameOf } from "./sentence.js";
import { emission, siteSum, state } from "./state.js";

const NAMED_MAX = 3;

export function showTiles() {
  const watt = siteSum((payload) => payload.values.active_power_w);
  const reactive = siteSum((payload) => payload.values.reactive_power_var);
  const wattHours = siteSum((payload) => payload.running?.active_energy_import_wh);
  const co2 = siteSum((payload) => emission(payload)?.kg);
  figure("tile-power", watt, 1000);
  figure("tile-energy", wattHours, 1000);
  say(byId("tile-pf"), format.number(powerFactor(watt, reactive), 3));
  say(byId("tile-pf-side"), side(watt, reactive));
  const gas = format.gas(state.status.carbon.gas);
  say(byId("tile-co2-name"), t("tiles.co2", { gas }));
  figure("tile-co2", co2, 1);
  showBasis();
}

function figure(id, value, divisor) {
  const scaled = value === undefined ? undefined : value / divisor;
  say(byId(id), format.number(scaled, format.decimalsFor([scaled])));
}

function powerFactor(watt, reactive) {
  if (watt === undefined || reactive === undefined || Math.hypot(watt, reactive) === 0) return undefined;
  return Math.abs(watt) / Math.hypot(watt, reactive);
}

function side(watt, reactive) {
  if (watt === undefined || !reactive) return "";
  return t(reactive > 0 ? "pf.inductive" : "pf.capacitive");
}

function showBasis() {
  const { basis, of } = state.status.total;
  const first = of.slice(0, NAMED_MAX).map(nameOf).join(t("list.separator"));
  const more = of.length - NAMED_MAX;
  const meters = more > 0 ? t("tiles.basis.more", { meters: first, count: more }) : first;
  const gas = format.gas(state.status.carbon.gas);
  say(byId("tiles-basis"), of.length ? t(`tiles.basis.${basis}`, { meters, gas }) : "");
}

// The load curve of today: mean power from closed intervals as steps, the last point live.
import uPlot from "/static/vendor/uPlot/uPlot.esm.js";
import { getJson } from "./api.js";
import { byId, make, say } from "./dom.js";
import * as format from "./format.js";
import { t } from "./i18n.js";
import { nameOf } from "./sentence.js";
import { serverNow, siteSum, state } from "./state.js";

const AGAIN_MIN_MS = 10_000;
const AGAIN_PER_STEP_MS = 200; // a five-minute grid is asked for once a minute
const WHOLE_DAY_FROM_S = 3 * 3600; // with less than this, the axis follows the data
const RIGHT_ROOM = 1.015; // so that the live point is seen whole
const dark = matchMedia("(prefers-color-scheme: dark)");

let chosen = null; // meter beside the site
let curve = null; // /api/v1/load of the site
let extra = null; // and of the chosen meter
let plot = null;
let fetchedSeq = -1;
let fetchedAt = 0;

export const chosenMeter = () => chosen;

/** Show or hide the curve of one meter beside the site's. */
export async function choose(meter) {
  chosen = chosen === meter ? null : meter;
  extra = null;
  fetchedSeq = -1;
  await loadCurve({ now: true });
}

/** Fetch again when intervals were closed since, at most every ten seconds. */
export async function loadCurve({ now = false } = {}) {
  const seq = state.status.storage.last_seq.intervals;
  if (seq === undefined) return; // there is no ledger to ask
  const dayOver = curve && serverNow() >= Date.parse(curve.to);
  const pause = Math.max(AGAIN_MIN_MS, (curve?.step_s ?? 0) * AGAIN_PER_STEP_MS);
  if (!now && !dayOver && (seq === fetchedSeq || Date.now() - fetchedAt < pause)) return;
  fetchedSeq = seq;
  fetchedAt = Date.now();
  const wanted = chosen;
  try {
    const [site, meter] = await Promise.all([
      getJson("/api/v1/load"), wanted ? getJson(`/api/v1/load?meter=${wanted}`) : null,
    ]);
    curve = site;
    if (wanted === chosen) extra = meter;
  } catch (error) {
    fetchedSeq = -1;
    throw error;
  }
  drawCurve();
}

/** Draw anew: other data, other language or other colours. */
export function drawCurve() {
  plot?.destroy();
  plot = null;
  const target = byId("chart");
  if (!curve || !state.status) return;
  plot = new uPlot(options(target), data(), target);
  showLegend();
  showNote();
}

/** Move the live end of the curve; cheap, called at every live event. */
export function moveCurve() {
  plot?.setData(data());
}

export function resizeCurve() {
  const target = byId("chart");
  plot?.setSize({ width: target.clientWidth, height: target.clientHeight });
}

dark.addEventListener("change", drawCurve);

function data() {
  const step = curve.step_s;
  const first = Date.parse(curve.since) / 1000;
  const times = curve.mean_power_w.map((_, i) => first + i * step);
  const end = first + times.length * step;
  const now = Math.max(serverNow() / 1000, end);
  const hours = [...times, end, now];
  const ending = (watts, live) => ({
    mean: [...watts.map(kilo), kilo(watts.at(-1)), null],
    live: [...watts.map(() => null), kilo(live), kilo(live)],
  });
  const site = ending(curve.mean_power_w, siteSum((payload) => payload.values.active_power_w));
  const columns = [hours, site.mean, site.live];
  if (chosen && extra) {
    const aligned = times.map((time) => valueAt(extra, time));
    const one = ending(aligned, state.live.get(chosen)?.values.active_power_w);
    columns.push(one.mean, one.live);
  }
  return columns;
}

const kilo = (watt) => (watt === undefined || watt === null ? null : watt / 1000);

function valueAt(other, time) {
  const index = Math.floor((time - Date.parse(other.since) / 1000) / other.step_s);
  return other.mean_power_w[index] ?? null;
}

function options(target) {
  const css = getComputedStyle(document.documentElement);
  const color = (name) => css.getPropertyValue(name).trim();
  const zone = state.status.site.timezone;
  const axis = {
    stroke: color("--muted"), font: `12px ${css.getPropertyValue("--sans")}`,
    grid: { stroke: color("--line"), width: 1 }, ticks: { show: false },
  };
  const stepped = uPlot.paths.stepped({ align: 1 });
  const mean = (name, fill) => ({ stroke: color(name), width: 1.75, fill: fill && color(fill), paths: stepped, points: { show: false } });
  const live = (name) => ({
    stroke: color(name), width: 1.75, dash: [3, 4],
    points: { show: true, size: 7, fill: color(name), filter: (chart, series) => [chart.data[series].length - 1] },
  });
  const series = [{}, mean("--accent", "--accent-soft"), live("--accent")];
  if (chosen && extra) series.push(mean("--second"), live("--second"));
  return {
    width: target.clientWidth,
    height: target.clientHeight,
    padding: [8, 12, 0, 0],
    legend: { show: false },
    tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), zone),
    scales: { x: { range: () => extent() }, y: { range: (_, low, high) => [Math.min(0, low ?? 0), Math.max(high ?? 0, 0.001) * 1.08] } },
    axes: [
      { ...axis, size: 32, space: curve.step_s < 60 ? 90 : 60, values: (_, ticks) => ticks.map((s) => format.clockTime(s * 1000, zone, { seconds: ticks[1] - ticks[0] < 60 })) },
      { ...axis, size: 56, values: (_, ticks) => ticks.map((v) => format.number(v, ticks[1] - ticks[0] < 1 ? 1 : 0)) },
    ],
    series,
    cursor: { y: false, drag: { x: false, y: false }, points: { size: 7 } },
    hooks: { setCursor: [showReadout] },
  };
}

function extent() {
  const from = Date.parse(curve.from) / 1000;
  const since = Date.parse(curve.since) / 1000;
  const now = serverNow() / 1000;
  const start = now - since >= WHOLE_DAY_FROM_S ? from : since;
  return [start, start + Math.max(60, (now - start) * RIGHT_ROOM)];
}

function showReadout(chart) {
  const readout = byId("load-readout");
  const index = chart.cursor.idx;
  const closed = curve.mean_power_w.length;
  if (index === null || index === undefined || chart.cursor.left < 0) {
    say(readout, t("load.axis"));
    return;
  }
  const column = index < closed ? 1 : 2;
  const values = chart.data.slice(1).filter((_, k) => k % 2 === column - 1)
    .map((series) => `${format.number(series[Math.min(index, series.length - 1)], 1)} kW`).join(" · ");
  const zone = state.status.site.timezone;
  const start = chart.data[0][index] * 1000;
  const seconds = curve.step_s < 60;
  say(readout, index >= closed ? t("load.readout_live", { values }) : t("load.readout", {
    from: format.clockTime(start, zone, { seconds }),
    to: format.clockTime(start + curve.step_s * 1000, zone, { seconds }),
    values,
  }));
}

function showLegend() {
  const parts = [make("span", "", t("load.site"))];
  if (chosen && extra) parts.push(make("span", "second", nameOf(chosen)));
  byId("load-legend").replaceChildren(...parts);
  say(byId("load-readout"), t("load.axis"));
}

function showNote() {
  const known = curve.mean_power_w.filter((watt) => watt !== null);
  let peak = t("load.empty");
  if (known.length) {
    const highest = Math.max(...known);
    const at = Date.parse(curve.since) + curve.mean_power_w.indexOf(highest) * curve.step_s * 1000;
    peak = t("load.peak", {
      step: format.span(curve.step_s),
      power: format.number(highest / 1000, format.decimalsFor([highest / 1000])),
      time: format.clockTime(at, state.status.site.timezone, { seconds: curve.step_s < 60 }),
    });
  }
  say(byId("load-note"), peak);
  byId("chart").setAttribute("aria-label", t("load.summary", { peak }));
}

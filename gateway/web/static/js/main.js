// The page: fetch once, then follow the stream.
import { getJson } from "./api.js";
import { byId, say } from "./dom.js";
import { loadEvents, showEvents } from "./events.js";
import * as format from "./format.js";
import { otherLanguage, preferred, setLanguage, t } from "./i18n.js";
import { choose, chosenMeter, drawCurve, loadCurve, moveCurve, resizeCurve } from "./load.js";
import { buildMeters, showAges, showMeters } from "./meters.js";
import { showPanels } from "./panels.js";
import { showSentence } from "./sentence.js";
import { serverNow, state, takeBeat, takeLive, takeMeters, takeStatus } from "./state.js";
import { follow } from "./stream.js";
import { showTiles } from "./tiles.js";

const AGAIN_MS = 2000;

async function start() {
  const [status, meters] = await Promise.all([getJson("/api/v1/status"), getJson("/api/v1/meters")]);
  takeStatus(status);
  takeMeters(meters.rows);
  await setLanguage(preferred(status.site.language));
  buildMeters(chooseMeter);
  showSite();
  showAll();
  showEvents();
  document.body.classList.remove("loading");
  follow("/api/v1/stream", {
    live(body) { takeLive(body); showLive(); },
    status(body) { takeStatus(body); showAll(); refresh(); },
    beat(body) { takeBeat(body); showSentence(); refresh(); },
    lost() { state.connected = false; showSentence(); },
  });
  setInterval(everySecond, 1000);
  new ResizeObserver(resizeCurve).observe(byId("chart"));
  refresh();
}

function refresh() {
  loadEvents().catch(report);
  loadCurve().catch(report);
}

function report(error) {
  console.warn(error.message);
}

async function chooseMeter(id) {
  await choose(id).catch(report);
  showMeters(chosenMeter());
}

function showLive() {
  showSentence();
  showTiles();
  showMeters(chosenMeter());
  showPanels();
  moveCurve();
}

function showAll() {
  showLive();
  const { version, carbon } = state.status;
  say(byId("version"), t("footer.version", { version, factor: carbon.factor }));
}

function showSite() {
  const { site } = state.status;
  document.title = `${site.name || site.id} · wattledger`;
  say(byId("site-name"), site.name || site.id);
  say(byId("gateway-name"), `${site.id} · ${site.gateway}`);
  const button = byId("language");
  say(button, t("language.other"));
  button.lang = otherLanguage();
}

function everySecond() {
  const zone = state.status.site.timezone;
  say(byId("clock"), `${format.dateTime(serverNow(), zone)} ${zone}`);
  showAges();
  showSentence();
}

byId("language").addEventListener("click", async () => {
  await setLanguage(otherLanguage(), { remember: true });
  showSite();
  showAll();
  showEvents();
  drawCurve();
});

async function startWhenReachable() {
  try {
    await start();
  } catch (error) {
    report(error);
    setTimeout(startWhenReachable, AGAIN_MS);
  }
}

startWhenReachable();

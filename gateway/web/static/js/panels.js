// Upload, storage and buses.
import { byId, facts, make, say } from "./dom.js";
import * as format from "./format.js";
import { language, t } from "./i18n.js";
import { state } from "./state.js";

const UPLOAD_LEVEL = { offline: "warning", nobody: "warning", stopped: "warning", never: "warning", refused: "error" };
const BUSY_WARNING = 0.8;
const DISK_WARNING = 0.9;

export function showPanels() {
  showUpload();
  showStorage();
  showBuses();
}

function showUpload() {
  const upload = state.status.upload;
  byId("upload-state").className = `lead ${UPLOAD_LEVEL[upload.state] ?? ""}`;
  say(byId("upload-state"), t(`upload.state.${upload.state}`));
  const pairs = [[t("upload.broker"), upload.broker]];
  if (upload.detail[language()]) pairs.push([t("upload.detail"), upload.detail[language()]]);
  if (upload.hint[language()]) pairs.push([t("upload.hint"), upload.hint[language()]]);
  if (upload.proof) pairs.push([t("upload.proof"), t(`upload.proof.${upload.proof}`)]);
  facts(byId("upload-facts"), pairs);
  const streams = Object.keys(upload.cursor);
  byId("upload-streams").hidden = !streams.length;
  byId("upload-stream-rows").replaceChildren(...streams.map((stream) => make("tr", "",
    make("th", "", t(`stream.${stream}`)),
    make("td", "number", format.number(upload.cursor[stream])),
    make("td", "number", format.number(upload.backlog[stream])),
  )));
}

function showStorage() {
  const { storage } = state.status;
  const used = storage.total_bytes ? 1 - storage.free_bytes / storage.total_bytes : 0;
  byId("storage-state").className = `lead ${storage.state === "unreadable" ? "error" : ""}`;
  say(byId("storage-state"), t(`storage.state.${storage.state}`, {
    free: format.bytes(storage.free_bytes), total: format.bytes(storage.total_bytes),
  }));
  const bar = byId("storage-bar");
  bar.className = used > DISK_WARNING ? "bar warning" : "bar";
  bar.firstElementChild.style.width = `${(100 * used).toFixed(1)}%`;
  const pairs = [[t("storage.ledger"), format.bytes(storage.ledger_bytes)]];
  if (storage.hint) pairs.push([t("storage.hint"), storage.hint]);
  for (const stream of ["readings", "intervals"]) {
    if (stream in storage.last_seq) pairs.push([t(`storage.${stream}`), format.number(storage.last_seq[stream])]);
  }
  facts(byId("storage-facts"), pairs);
}

function showBuses() {
  const buses = Object.entries(state.buses);
  const list = byId("bus-rows");
  if (!buses.length) {
    list.replaceChildren(make("li", "muted", t("buses.none")));
    return;
  }
  list.replaceChildren(...buses.map(([id, bus]) => busRow(id, bus)));
}

function busRow(id, bus) {
  const busy = bus.utilisation / 100;
  const parts = [bus.up ? t("buses.load", { percent: format.percent(busy) }) : t("buses.down")];
  if (bus.skipped) parts.push(t("buses.skipped", { count: bus.skipped }));
  const words = make("span", bus.up ? "muted tabular" : "down", parts.join(" · "));
  const fill = make("i");
  fill.style.width = `${(100 * Math.min(1, busy)).toFixed(1)}%`;
  const bar = make("div", busy > BUSY_WARNING ? "bar warning" : "bar", fill);
  return make("li", "", make("p", "", make("b", "", id), words), bar);
}

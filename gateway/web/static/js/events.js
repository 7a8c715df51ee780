// The latest events, in the language of the page.
import { getJson } from "./api.js";
import { byId, make } from "./dom.js";
import * as format from "./format.js";
import { language, t } from "./i18n.js";
import { state } from "./state.js";

const SHOWN = 20;
let rows = [];
let shownSeq = -1;

/** Fetch again when the ledger has newer events. */
export async function loadEvents() {
  const last = state.status.storage.last_seq.events;
  if (last === undefined || last === shownSeq) return;
  shownSeq = last;
  try {
    rows = (await getJson(`/api/v1/events?latest=${SHOWN}`)).rows;
  } catch (error) {
    shownSeq = -1;
    throw error;
  }
  showEvents();
}

export function showEvents() {
  const zone = state.status.site.timezone;
  const items = rows.map((row) => {
    const dot = make("span", `dot ${row.severity}`);
    dot.setAttribute("role", "img");
    dot.setAttribute("aria-label", t(`events.${row.severity}`));
    const time = make("time", "", format.dateTime(Date.parse(row.t), zone));
    time.dateTime = row.t;
    return make("li", "", time, dot, make("p", "", row.text[language()]));
  });
  byId("event-rows").replaceChildren(...(items.length ? items : [make("li", "none", t("events.none"))]));
}

// The sentence at the top, and what the page does when its figures are old or nothing is set up yet.
import { byId, make, say } from "./dom.js";
import * as format from "./format.js";
import { t } from "./i18n.js";
import { figuresAge, staleness, state } from "./state.js";

const COMMANDS = {
  no_meters: ["wattledger profile list", "wattledger config example", "wattledger check"],
  not_started: ["wattledger run", "sudo systemctl start wattledger-collect", "wattledger doctor"],
};

export function showSentence() {
  const old = staleness();
  const parts = state.status.sentence;
  if (old === "disconnected" && state.heardAt !== null) {
    byId("status-dot").className = "dot error";
    say(byId("sentence"), t("sentence.disconnected"));
  } else {
    byId("status-dot").className = `dot ${state.status.level}`;
    say(byId("sentence"), parts.map(clause).join(t("sentence.separator")));
  }
  announce(old === "disconnected" ? old : parts.map((part) => part.key).join());
  showStale(old);
  showSetup(parts);
}

/** Read aloud only when the state changes, not when a number in the sentence does. */
function announce(key) {
  const spoken = byId("announcement");
  if (spoken.dataset.key === key) return;
  spoken.dataset.key = key;
  say(spoken, byId("sentence").textContent);
}

function clause({ key, args }) {
  const names = (args.meters ?? []).map(nameOf).join(t("list.separator"));
  const more = (args.meters?.length ?? 0) < (args.count ?? 0) ? "…" : "";
  return t(`sentence.${key}`, {
    ...args,
    meters: names + more,
    bytes: format.bytes(args.bytes ?? 0),
  });
}

export function nameOf(id) {
  return state.meters.find((meter) => meter.id === id)?.name || id;
}

function showStale(old) {
  const note = byId("stale-note");
  const expected = state.live.size > 0;
  document.body.classList.toggle("stale", expected && old !== "");
  note.hidden = !(expected && old !== "");
  if (note.hidden) return;
  const words = t(`stale.${old}`, { age: format.age(figuresAge()), code: "\u0000" });
  if (note.dataset.shown === words) return;
  note.dataset.shown = words;
  note.replaceChildren(...withCode(words, "wattledger status"));
}

function showSetup(parts) {
  const key = parts.map((part) => part.key).find((name) => name in COMMANDS);
  byId("setup").hidden = !key;
  for (const id of ["tiles", "load", "meters"]) byId(id).hidden = key === "no_meters";
  if (!key) return;
  say(byId("setup-title"), t(`setup.${key}.title`));
  say(byId("setup-text"), t(`setup.${key}.text`));
  byId("setup-steps").replaceChildren(...COMMANDS[key].map((command, n) => {
    return make("li", "", ...withCode(t(`setup.${key}.step${n + 1}`, { code: "\u0000" }), command));
  }));
}

/** Texts and the <code> between them: a NUL in `words` stands for the command. */
function withCode(words, command) {
  const [before, ...after] = words.split("\u0000");
  return after.length ? [before, make("code", "", command), ...after] : [before];
}

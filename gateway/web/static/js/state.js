// What the page knows: one object, changed only here; views are called after each change.
export const LIVE_MAX_AGE_MS = 5000; // as the server: older means that nothing is metered
const SILENCE_MS = 7000; // no event at all, although a beat comes every 2 s

export const state = {
  status: null, // /api/v1/status
  meters: [], // /api/v1/meters, in the order of site.toml, children after their parents
  live: new Map(), // meter id → live payload
  buses: {},
  trouble: {}, // meter id → why it fails now
  liveAt: null, // server time [ms] of the live file
  fileAge: null, // age of the live file [ms] at the last beat; null = there is none
  serverAhead: 0, // server clock − our clock [ms]
  heardAt: null, // our clock at the last event of the stream
  connected: false,
};

export const serverNow = () => Date.now() + state.serverAhead;

/** Another run of the server may have other meters, words and files: then the page begins anew. */
export function takeStatus(body) {
  if (state.status && state.status.server !== body.server) location.reload();
  state.status = body;
}

export function takeMeters(rows) {
  const children = new Map();
  const known = new Set(rows.map((row) => row.id));
  for (const row of rows) {
    const parent = known.has(row.parent) ? row.parent : "";
    children.set(parent, [...(children.get(parent) ?? []), row]);
  }
  const ordered = [];
  const walk = (parent, depth) => {
    for (const row of children.get(parent) ?? []) {
      ordered.push({ ...row, depth });
      walk(row.id, depth + 1);
    }
  };
  walk("", 0);
  state.meters = ordered;
}

export function takeLive(body) {
  heard();
  for (const [id, payload] of Object.entries(body.meters)) state.live.set(id, payload);
  state.buses = body.buses ?? {};
  state.trouble = body.trouble ?? {};
  state.liveAt = Date.parse(body.t);
  state.fileAge = Math.max(0, serverNow() - state.liveAt);
}

export function takeBeat(body) {
  heard();
  state.serverAhead = Date.parse(body.t) - Date.now();
  state.fileAge = body.age_ms;
}

export function heard() {
  state.heardAt = Date.now();
  state.connected = true;
}

/** Why the figures are old: "" (they are not), "disconnected" or "stopped". */
export function staleness() {
  if (!state.connected || state.heardAt === null || Date.now() - state.heardAt > SILENCE_MS) {
    return "disconnected";
  }
  return state.fileAge === null || state.fileAge > LIVE_MAX_AGE_MS ? "stopped" : "";
}

/** Age of the figures [ms], null where none ever came. */
export function figuresAge() {
  return state.liveAt === null ? null : Math.max(0, serverNow() - state.liveAt);
}

/** Sum of `pick(payload)` over the meters that stand for the site; undefined if one does not know it. */
export function siteSum(pick) {
  let sum = 0;
  const of = state.status?.total.of ?? [];
  for (const id of of) {
    const payload = state.live.get(id);
    const value = payload && pick(payload);
    if (value === undefined || value === null) return undefined;
    sum += value;
  }
  return of.length ? sum : undefined;
}

/** The first CO2 figure of a payload, under the site's first accounting profile. */
export const emission = (payload) => payload.running?.co2e?.[0];

// The event stream of the gateway. EventSource comes back by itself after a short cut; a refused or
// ended connection is opened anew here. A hidden page holds none: a browser has six per gateway.
import { address } from "./api.js";

const AGAIN_MS = 2000;

export function follow(path, { live, status, beat, lost }) {
  let source = null;
  let again = 0;
  const listen = (name, take) => source.addEventListener(name, (event) => take(JSON.parse(event.data)));

  function open() {
    close();
    source = new EventSource(address(path));
    listen("live", live);
    listen("status", status);
    listen("beat", beat);
    source.onerror = () => {
      lost();
      if (source.readyState === EventSource.CLOSED) again = setTimeout(open, AGAIN_MS);
    };
  }

  function close() {
    clearTimeout(again);
    source?.close();
  }

  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  addEventListener("pagehide", close);
  addEventListener("pageshow", (event) => { if (event.persisted) open(); });
  open();
}

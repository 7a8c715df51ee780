// The event stream of the gateway. EventSource comes back by itself after a short cut; a refused or
// ended connection is opened anew here.
const AGAIN_MS = 2000;

export function follow(address, { live, status, beat, lost }) {
  let source = null;
  const listen = (name, take) => source.addEventListener(name, (event) => take(JSON.parse(event.data)));

  function open() {
    source = new EventSource(address);
    listen("live", live);
    listen("status", status);
    listen("beat", beat);
    source.onerror = () => {
      lost();
      if (source.readyState === EventSource.CLOSED) setTimeout(open, AGAIN_MS);
    };
  }

  open();
  addEventListener("pagehide", () => source.close());
}

// Addresses of the gateway. The origin is written out because a page opened as http://user:password@host
// may not fetch relative addresses.
export const address = (path) => location.origin + path;

export async function getJson(path) {
  const answer = await fetch(address(path));
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
}

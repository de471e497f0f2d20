// Calls to the server: JSON both ways, the CSRF token on what changes something, and two kinds of failure.

/** The server answered with an error; `code` and the message are its own. */
export class ApiError extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** The server did not answer, or is not able to for the moment: worth another try. */
export class Unreachable extends Error {}

/** The server wants fewer calls: worth another try after `seconds`. */
export class TooFast extends Unreachable {
  constructor(message, seconds) {
    super(message);
    this.seconds = seconds;
  }
}

export const csrfToken = () => document.querySelector("meta[name=csrf-token]").content;

/** Who this page was made for; differs from server to server. */
export const identity = () => document.querySelector("meta[name=identity]").content;

export async function call(method, path, body, { seconds = 20 } = {}) {
  const headers = { Accept: "application/json" };
  if (method !== "GET") headers["X-CSRF-Token"] = csrfToken();
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(path, {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: AbortSignal.timeout(seconds * 1000),
    });
  } catch {
    throw new Unreachable("The server does not answer.");
  }
  if ([502, 503, 504].includes(response.status)) throw new Unreachable("The server is not ready.");
  const text = await response.text();
  let content = null;
  try {
    content = text ? JSON.parse(text) : null;
  } catch {
    throw new ApiError(response.status, "not_json", `The server sent something unreadable (${response.status}).`);
  }
  if (response.ok) return content;
  const error = content?.error ?? {};
  if (response.status === 429) throw new TooFast(error.message ?? "Too many calls.", Number(response.headers.get("Retry-After")) || 1);
  if (error.code === "csrf") error.message = "Your session has changed since this page was opened: reload the page.";
  throw new ApiError(response.status, error.code ?? "error", error.message ?? `The server refused (${response.status}).`);
}

export const get = (path, options) => call("GET", path, undefined, options);
export const post = (path, body = {}, options) => call("POST", path, body, options);

export const pause = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));

/** Repeat a call while the server is away, waiting 1, 2, 4 … up to 15 s between tries. */
export async function persistently(action, onAway = () => {}) {
  for (let attempt = 0; ; attempt++) {
    try {
      return await action();
    } catch (error) {
      if (!(error instanceof Unreachable)) throw error;
      const wait = error.seconds ?? Math.min(15, 2 ** attempt);
      onAway(error, wait);
      await pause(wait);
    }
  }
}

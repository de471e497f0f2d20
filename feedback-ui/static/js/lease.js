// The time for which a group is reserved: shown, prolonged while somebody works on it, given back with the tab.

import { ApiError, csrfToken, post, TooFast, Unreachable } from "./api.js";
import { announce, duration, setText } from "./page.js";

const IDLE_SECONDS = 600; // without a touch, the reservation is no longer prolonged
const WARN_SECONDS = 60;

export class Lease {
  #ends;
  #touched = Date.now();
  #warned = false;
  #timers;

  /** `lease` as the server gave it; `onLost(wasIdle)` is called once when it is gone, `onAway(bool)` as the server goes and comes. */
  constructor(lease, onLost, onAway) {
    this.id = lease.id;
    this.onLost = onLost;
    this.onAway = onAway;
    this.#ends = Date.now() + lease.seconds_left * 1000;
    this.#timers = [
      setInterval(() => this.#beat(), lease.heartbeat_seconds * 1000),
      setInterval(() => this.#show(), 1000),
    ];
    this.#show();
  }

  get secondsLeft() {
    return (this.#ends - Date.now()) / 1000;
  }

  /** The rater did something. */
  touch() {
    const wasIdle = this.#idle;
    this.#touched = Date.now();
    if (wasIdle) this.#beat();
  }

  /** Do something with the group: submit, skip, heartbeat. */
  post(verb, body) {
    return post(`${this.#path}/${verb}`, body);
  }

  /** Stop counting, without giving the group back. */
  stop() {
    this.#timers.forEach(clearInterval);
    setText("lease-left", "");
  }

  /** Give the group back as the page goes away; a keepalive request outlives it. */
  release() {
    this.stop();
    const headers = { "X-CSRF-Token": csrfToken() };
    fetch(`${this.#path}/release`, { method: "POST", headers, keepalive: true }).catch(() => {});
  }

  get #path() {
    return `/api/rate/leases/${encodeURIComponent(this.id)}`;
  }

  get #idle() {
    return Date.now() - this.#touched > IDLE_SECONDS * 1000;
  }

  async #beat() {
    if (this.#idle) return;
    try {
      const { seconds_left } = await this.post("heartbeat");
      this.#ends = Date.now() + seconds_left * 1000;
      this.#warned = false;
      this.onAway(false);
    } catch (error) {
      if (error instanceof TooFast) return; // the next sign of life is soon enough
      if (error instanceof Unreachable) this.onAway(true);
      else if (error instanceof ApiError) this.#lost();
    }
  }

  #lost() {
    this.stop();
    this.onLost(this.#idle);
  }

  #show() {
    const left = this.secondsLeft;
    if (left <= 0 && this.#idle) return this.#lost();
    setText("lease-left", ` · yours for ${duration(left)}`);
    if (left < WARN_SECONDS && !this.#warned) {
      this.#warned = true;
      announce(`This group is yours for ${duration(left)} more.`);
    }
  }
}

// The stream: numbered messages over a WebSocket, with gaps found and filled, and polling while it is cut off.

import { bearer, get } from "./client.js";

const QUIET_MS = 7000;

export class Stream {
  constructor() {
    this.state = "connecting";
    this.epoch = "";
    this.seq = 0;
    this.gaps = 0;
    this.messages = 0;
    this.doubled = 0;
    this.pictures = 0;
    this.heard = 0;
    this._wait = 400;
    this._listeners = new Set();
    this._socket = null;
    this._asked = 0;
    setInterval(() => this._watch(), 1000);
  }

  listen(listener) { this._listeners.add(listener); return () => this._listeners.delete(listener); }
  _tell(kind, data) { for (const listener of [...this._listeners]) listener(kind, data); }

  _enter(state) {
    if (state === this.state) return;
    this.state = state;
    this._tell("state", state);
  }

  open() {
    clearTimeout(this._timer);
    const address = new URL(`/api/v1/ws?epoch=${encodeURIComponent(this.epoch)}&since=${this.seq}`, location.href);
    address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    const token = bearer();
    const socket = new WebSocket(address, token ? ["sovereign", `sovereign.bearer.${token}`] : ["sovereign"]);
    this._socket = socket;
    socket.onmessage = (event) => { if (socket === this._socket) this._take(JSON.parse(event.data)); };
    socket.onclose = () => { if (socket === this._socket) this._lost(); };
    socket.onerror = () => socket.close();
  }

  _lost() {
    this._socket = null;
    this._enter("down");
    this._timer = setTimeout(() => this.open(), this._wait * (0.7 + Math.random() * 0.6));
    this._wait = Math.min(8000, this._wait * 1.7);
    this._poll();
  }

  // While the socket is down the page asks by itself; a proxy may let requests through that it denies a socket.
  async _poll() {
    if (this._polling) return;
    this._polling = true;
    try {
      while (this.state === "down" || this.state === "polling") {
        try {
          await this.onPoll?.();
          if (this.state === "down") this._enter("polling");
        } catch {
          if (this.state === "polling") this._enter("down");
        }
        await new Promise((resolve) => setTimeout(resolve, 2000));
      }
    } finally {
      this._polling = false;
    }
  }

  _watch() {
    if (this._socket?.readyState === WebSocket.OPEN && this.heard && Date.now() - this.heard > QUIET_MS) {
      this._enter("stale");
      if (Date.now() - this.heard > 2 * QUIET_MS) this._socket.close();
    }
  }

  _take(message) {
    this.heard = Date.now();
    this.messages += 1;
    this._wait = 400;
    if (message.type === "init") {
      this.epoch = message.epoch;
      this.seq = message.seq;
      this.pictures += 1;
      this._enter("live");
      this._tell("init", message.data);
      return;
    }
    if (message.epoch !== this.epoch) return this._resume();
    if (message.type === "beat") {
      if (message.seq > this.seq) this._resume();
      else this._enter("live");
      return;
    }
    if (message.seq <= this.seq) { this.doubled += 1; return; }
    if (message.seq !== this.seq + 1) { this.gaps += 1; return this._resume(); }
    this.seq = message.seq;
    this._enter("live");
    for (const change of message.data) this._tell("change", change);
    this._tell("settled", null);
  }

  _resume() {
    if (Date.now() - this._asked < 500) return;
    this._asked = Date.now();
    this._socket?.send(JSON.stringify({ type: "resume", epoch: this.epoch, since: this.seq }));
  }
}

// The audit events of a session, each once and in order, whatever the line did in between.
export class EventLog {
  constructor(most = 500) { this._most = most; this.session = null; this.rows = []; this.next = 0; this.doubled = 0; }

  async begin(session) {
    this.session = session;
    this.rows = [];
    this.next = 0;
    const found = await get(`/sessions/${encodeURIComponent(session)}/events`, { newest: true, limit: 200 });
    this.add(found.rows);
  }

  add(rows) {
    for (const row of rows) {
      if (this.rows.length && row.seq < this.next) { this.doubled += 1; continue; }
      if (this.rows.length && row.seq > this.next) return false;
      this.rows.push(row);
      this.next = row.seq + 1;
    }
    if (this.rows.length > this._most) this.rows.splice(0, this.rows.length - this._most);
    return true;
  }

  async fillUp() {
    if (!this.session || this._isFilling) return;
    this._isFilling = true;
    try {
      for (;;) {
        const found = await get(`/sessions/${encodeURIComponent(this.session)}/events`, { since: this.next, limit: 500 });
        this.add(found.rows);
        if (found.rows.length < 500) return;
      }
    } finally {
      this._isFilling = false;
    }
  }
}

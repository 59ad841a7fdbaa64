// Messages on their way to Python: one in flight, each kept until it is acknowledged.
//
// One at a time, because the kernel may handle two messages at once and in either order. What must
// not be lost is also written to the browser's storage, where it outlives this page and the kernel.

const PATIENCE = 5000; // ms to wait for an acknowledgement, and between two tries

const SILENT =
  "The kernel does not answer. If a long cell is running, wait. " +
  "If the kernel was restarted, run this cell again.";

/** @typedef {{id: string, kind: string, [field: string]: any}} Message */
/** @typedef {{reply: string, error?: string, final?: boolean, [field: string]: any}} Reply */

/** @returns {string} a random id; `crypto.randomUUID` does not exist on plain http */
function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");
}

/** @returns {Storage | null} the browser's storage, where the page may use it */
export function storage() {
  try {
    return window.localStorage;
  } catch {
    return null;
  }
}

export class Outbox {
  /** What is wrong now, in words for the person; empty when all is well. */
  trouble = "";
  /** Why the last refused message was refused, until it is dismissed. */
  refusal = "";

  #model;
  #store;
  #listener;
  /** @type {Message[]} the first one is in flight */
  #queue = [];
  /** @type {Map<string, string>} storage key of each kept message, by its id */
  #kept = new Map();
  #count = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /**
   * @param {any} model the widget's model
   * @param {string} store where kept messages lie in the browser's storage
   * @param {object} listener
   * @param {(message: Message, reply: Reply) => void} listener.settled
   * @param {() => void} listener.changed
   * @param {() => boolean} listener.watched whether anybody sees what is said here
   */
  constructor(model, store, listener) {
    this.#model = model;
    this.#store = store;
    this.#listener = listener;
    model.on("msg:custom", (/** @type {Reply} */ reply) => this.#receive(reply));
    // The kernel restarted, or the connection broke: say so before the next act finds out.
    model.on("comm_live_update", () => {
      this.#report(SILENT);
      this.post({ kind: "ping" }, { replace: true });
    });
  }

  /** Whether the trouble is that nothing comes back at all. */
  get silent() {
    return this.trouble === SILENT;
  }

  /** How many kept messages are not acknowledged yet. */
  get unsaved() {
    return this.#queue.filter((message) => this.#kept.has(message.id)).length;
  }

  /**
   * Send a message when its turn comes.
   * @param {Record<string, any>} fields
   * @param {{keep?: boolean, first?: boolean, replace?: boolean}} options keep: must not be lost;
   *   first: before all others that wait; replace: instead of those of its kind that wait
   * @returns {string} its id
   */
  post(fields, { keep = false, first = false, replace = false } = {}) {
    const message = /** @type {Message} */ ({ id: newId(), ...fields });
    if (replace) this.#dropWaiting(message.kind);
    if (keep) this.#keep(message);
    if (first) this.#queue.splice(1, 0, message);
    else this.#queue.push(message);
    if (this.#queue[0] === message) this.#send();
    return message.id;
  }

  /** @returns {Message[]} what an earlier page or kernel left unacknowledged, oldest first */
  left() {
    const place = storage();
    const keys = place ? Object.keys(place).filter((k) => k.startsWith(`${this.#store}/`)) : [];
    return keys.sort().map((key) => {
      const message = JSON.parse(/** @type {string} */ (place?.getItem(key)));
      this.#kept.set(message.id, key);
      return message;
    });
  }

  /** @param {string} id a message that is not wanted any more */
  forget(id) {
    const key = this.#kept.get(id);
    if (key) storage()?.removeItem(key);
    this.#kept.delete(id);
  }

  dismiss() {
    this.refusal = "";
    this.#listener.changed();
  }

  /** Try again now what was given up while nobody watched. */
  wake() {
    if (this.trouble) this.#send();
  }

  stop() {
    clearTimeout(this.#timer);
  }

  /** @param {Message} message */
  #keep(message) {
    if (this.#kept.has(message.id)) return;
    const order = `${Date.now()}-${String(this.#count++).padStart(6, "0")}`;
    const key = `${this.#store}/${order}-${message.id}`;
    this.#kept.set(message.id, key);
    try {
      storage()?.setItem(key, JSON.stringify(message));
    } catch {
      // Storage is full or forbidden: the message is still kept in this page.
    }
  }

  /** @param {string} kind */
  #dropWaiting(kind) {
    const dropped = this.#queue.slice(1).filter((message) => message.kind === kind);
    this.#queue = this.#queue.filter((message) => !dropped.includes(message));
    for (const message of dropped) this.forget(message.id);
  }

  #send() {
    clearTimeout(this.#timer);
    const message = this.#queue[0];
    if (!message) return;
    this.#timer = setTimeout(() => {
      this.#report(this.trouble || SILENT);
      // A widget that was drawn anew elsewhere must not go on calling a kernel that is gone.
      if (this.#listener.watched()) this.#send();
    }, PATIENCE);
    try {
      this.#model.send(message);
    } catch {
      this.#report(SILENT); // the connection is closed; the timer goes on trying
    }
  }

  /** @param {string} trouble */
  #report(trouble) {
    this.trouble = trouble;
    this.#listener.changed();
  }

  /** @param {Reply} reply */
  #receive(reply) {
    const message = this.#queue[0];
    // Another page's reply, or the second one to a message that was sent twice.
    if (!message || reply?.reply !== message.id) return;
    if (reply.error && !reply.final) {
      this.#report(reply.error); // the timer sends it again
      return;
    }
    this.#queue.shift();
    this.forget(message.id);
    this.trouble = "";
    if (reply.error) this.refusal = reply.error;
    this.#listener.settled(message, reply);
    this.#listener.changed();
    this.#send();
  }
}

/** As much of IndexedDB as the store uses: one table with a key path, and events that come later. Values are copies. */
export class FakeIndexedDb {
  tables = new Map();
  opened = 0;
  /** The next transaction fails like one of a database that was closed. */
  isClosed = false;
  /** All transactions fail. */
  isBroken = false;

  open() {
    this.opened++;
    this.isClosed = false;
    const opening = { result: this.#database() };
    queueMicrotask(() => {
      if (this.tables.size === 0) opening.onupgradeneeded?.();
      opening.onsuccess?.();
    });
    return opening;
  }

  #database() {
    return {
      createObjectStore: (name) => void this.tables.set(name, new Map()),
      close: () => {},
      transaction: (name) => {
        if (this.isClosed) throw Object.assign(new Error('closed'), { name: 'InvalidStateError' });
        const rows = this.tables.get(name);
        const transaction = { error: new Error('broken') };
        const asked = {};
        queueMicrotask(() => (this.isBroken ? transaction.onabort() : transaction.oncomplete()));
        const run = (action) => {
          if (!this.isBroken) asked.result = action();
          return asked;
        };
        return Object.assign(transaction, {
          objectStore: () => ({
            put: (row) => run(() => void rows.set(row.id, structuredClone(row))),
            delete: (id) => run(() => void rows.delete(id)),
            getAll: () => run(() => structuredClone([...rows.values()])),
          }),
        });
      },
    };
  }
}

/** Web Locks of one browser; `end(owner)` is what the end of a page does to its locks. */
export class FakeLocks {
  #held = new Map();

  /** The locks as one page sees them. */
  ofPage(page) {
    return {
      request: async (name, ...rest) => {
        const run = rest.at(-1);
        if (this.#held.has(name)) return rest.length > 1 && rest[0].ifAvailable ? run(null) : new Promise(() => {});
        this.#held.set(name, page);
        const result = await run({ name });
        this.#held.delete(name);
        return result;
      },
    };
  }

  end(page) {
    for (const [name, holder] of this.#held) if (holder === page) this.#held.delete(name);
  }
}

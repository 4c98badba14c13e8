/** @typedef {import('./types.js').OutboxRecord} OutboxRecord */

const TABLE = 'outbox';
/** @param {string} owner */
const lockName = (owner) => `viberchat-outbox-${owner}`;

/**
 * Keeps what is on its way out in IndexedDB. Each page owns what it wrote, and holds a Web Lock of its own as long as it lives;
 * what the page of a lock that is free has left is taken over by one other page. Without Web Locks every page takes all: ids make
 * doubles harmless.
 */
export class IndexedDbStore {
  #factory;
  #locks;
  #name;
  #owner;
  #isAlive = false;
  /** @type {Promise<IDBDatabase> | null} */
  #database = null;

  /**
   * @param {object} options
   * @param {string} options.owner New for each page.
   * @param {string} [options.name]
   * @param {IDBFactory} [options.factory]
   * @param {Pick<LockManager, 'request'>} [options.locks]
   */
  constructor({ owner, name = 'viberchat', factory = globalThis.indexedDB, locks = globalThis.navigator?.locks }) {
    this.#owner = owner;
    this.#name = name;
    this.#factory = factory;
    this.#locks = locks;
  }

  /** @param {OutboxRecord} record */
  async put(record) {
    await this.#run('readwrite', (table) => table.put({ ...record, owner: this.#owner }));
  }

  /** @param {string} id */
  async remove(id) {
    await this.#run('readwrite', (table) => table.delete(id));
  }

  /** @param {string} userId @returns {Promise<OutboxRecord[]>} */
  async load(userId) {
    await this.#live();
    /** @type {any[]} */
    const all = await this.#run('readonly', (table) => table.getAll());
    const owners = new Set(all.filter((record) => record.userId === userId).map(({ owner }) => owner));
    owners.delete(this.#owner);
    const taken = [];
    for (const owner of owners) {
      const take = () => this.#takeOver(owner, userId);
      if (!this.#locks) taken.push(...(await take()));
      else taken.push(...(await this.#locks.request(lockName(owner), { ifAvailable: true }, (lock) => (lock ? take() : []))));
    }
    return taken;
  }

  /** From now on others leave alone what is ours. */
  async #live() {
    const locks = this.#locks;
    if (this.#isAlive || !locks) return;
    this.#isAlive = true;
    await new Promise((resolve) => void locks.request(lockName(this.#owner), () => (resolve(null), new Promise(() => {}))));
  }

  /** @param {string} owner @param {string} userId @returns {Promise<OutboxRecord[]>} */
  async #takeOver(owner, userId) {
    /** @type {any[]} */
    const all = await this.#run('readonly', (table) => table.getAll());
    const left = all.filter((record) => record.owner === owner && record.userId === userId);
    for (const record of left) await this.put(record);
    return left.map(({ owner: _, ...record }) => record);
  }

  /** One request in a transaction of its own. A database that was closed under us is opened again. @param {IDBTransactionMode} mode @param {(table: IDBObjectStore) => IDBRequest} ask @returns {Promise<any>} */
  async #run(mode, ask) {
    try {
      return await request(await this.#open(), mode, ask);
    } catch (error) {
      if (/** @type {any} */ (error)?.name !== 'InvalidStateError') throw error;
      this.#database = null;
      return request(await this.#open(), mode, ask);
    }
  }

  #open() {
    this.#database ??= new Promise((resolve, reject) => {
      const opening = this.#factory.open(this.#name, 1);
      opening.onupgradeneeded = () => opening.result.createObjectStore(TABLE, { keyPath: 'id' });
      opening.onerror = () => reject(opening.error);
      opening.onsuccess = () => {
        opening.result.onclose = opening.result.onversionchange = () => (opening.result.close(), (this.#database = null));
        resolve(opening.result);
      };
    });
    this.#database.catch(() => (this.#database = null));
    return this.#database;
  }
}

/** @param {IDBDatabase} database @param {IDBTransactionMode} mode @param {(table: IDBObjectStore) => IDBRequest} ask */
const request = (database, mode, ask) =>
  new Promise((resolve, reject) => {
    const transaction = database.transaction(TABLE, mode);
    const asked = ask(transaction.objectStore(TABLE));
    // A write is stored when its transaction says so.
    transaction.oncomplete = () => resolve(asked.result);
    transaction.onerror = transaction.onabort = () => reject(transaction.error);
  });

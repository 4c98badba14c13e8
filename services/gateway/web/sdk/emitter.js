/**
 * Listeners by event name. A listener that throws does not keep the others from hearing.
 * @template {Record<keyof Events, any[]>} Events what each event tells its listeners, by its name
 */
export class Emitter {
  /** @type {Map<keyof Events, Set<(...args: any[]) => void>>} */
  #listeners = new Map();

  /**
   * @template {keyof Events} Name
   * @param {Name} event
   * @param {(...args: Events[Name]) => void} listener
   * @returns {() => void} stops listening
   */
  on(event, listener) {
    const listeners = this.#listeners.get(event) ?? new Set();
    this.#listeners.set(event, listeners.add(listener));
    return () => void listeners.delete(listener);
  }

  /** @template {keyof Events} Name @param {Name} event @param {Events[Name]} args */
  emit(event, ...args) {
    for (const listener of [...(this.#listeners.get(event) ?? [])]) {
      try {
        listener(...args);
      } catch (error) {
        console.error(error);
      }
    }
  }
}

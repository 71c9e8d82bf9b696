/** The Hypha services that the code of a session has registered, by their full ids. */

/** More ids than any app has are not remembered. */
const MAX_IDS = 1000;

/** Services of one session. */
export class Services {
  readonly #ids = new Set<string>();
  readonly #awaited = new Map<string, PromiseWithResolvers<void>>();

  /** One was registered. */
  add(id: string): void {
    this.#awaited.get(id)?.resolve();
    if (this.#ids.size < MAX_IDS) this.#ids.add(id);
  }

  /** Resolves as soon as a service is registered, such as `ws-user/client:default`. */
  async registered(id: string): Promise<void> {
    if (this.#ids.has(id)) return;
    const awaited = this.#awaited.get(id) ?? Promise.withResolvers<void>();
    this.#awaited.set(id, awaited);
    await awaited.promise;
  }
}

/** Tokens in a page of the cache; a prefix is shared in whole pages. */
export const pageTokens = 32;

/** Where a chain of full pages ends: the beginning of every text. */
export const emptyChain = 0;

/**
 * Which pages of the cache are whose. A page belongs to every sequence that holds it. A full page may be named by its tokens and by
 * those of all pages before it; nobody's named pages stay until their room is needed, the one that was let go first making
 * way first, and a text that begins alike takes them over without computing them again.
 */
export class PagePool {
  readonly size: number;
  readonly #holders: Uint32Array;
  /** Let go, and without a name. */
  readonly #free: number[] = [];
  /** Pages from this one on were never used. */
  #untouched = 0;
  /** Named and held by nobody, in the order in which they were let go. */
  readonly #idle = new Set<number>();
  readonly #named = new Map<string, { readonly page: number; readonly chain: number }>();
  readonly #nameOf = new Map<number, string>();
  #chains = emptyChain;

  constructor(size: number) {
    this.size = size;
    this.#holders = new Uint32Array(size);
  }

  /** Pages that can be taken. */
  get available(): number {
    return this.#free.length + (this.size - this.#untouched) + this.#idle.size;
  }

  /** A page for the caller alone; undefined when all are held. */
  take(): number | undefined {
    const page = this.#free.pop() ?? (this.#untouched < this.size ? this.#untouched++ : this.#oldestIdle());
    if (page !== undefined) this.#holders[page] = 1;
    return page;
  }

  #oldestIdle(): number | undefined {
    for (const page of this.#idle) {
      this.#idle.delete(page);
      this.#named.delete(this.#nameOf.get(page)!);
      this.#nameOf.delete(page);
      return page;
    }
    return undefined;
  }

  /** Pages that others hold become the caller's too. */
  hold(pages: readonly number[]): void {
    for (const page of pages) {
      this.#holders[page]! += 1;
      this.#idle.delete(page);
    }
  }

  /** The caller lets go of its pages. The last ones of a text make way before those that they follow. */
  release(pages: readonly number[]): void {
    for (const page of pages.toReversed()) {
      this.#holders[page]! -= 1;
      if (this.#holders[page]! > 0) continue;
      if (this.#nameOf.has(page)) this.#idle.add(page);
      else this.#free.push(page);
    }
  }

  /**
   * Names a full page by its tokens and the chain of the pages before it; gives the chain that ends with it. Where another page
   * has that name already it keeps it: the two hold the same.
   */
  name(page: number, before: number, tokens: readonly number[]): number {
    const name = `${before}:${tokens.join()}`;
    const known = this.#named.get(name);
    if (known !== undefined) return known.chain;
    this.#chains += 1;
    this.#named.set(name, { page, chain: this.#chains });
    this.#nameOf.set(page, name);
    return this.#chains;
  }

  /** The named pages that a text begins with, and the chain that each ends; held by the caller from now on. */
  find(tokens: readonly number[], most: number): { readonly pages: number[]; readonly chains: number[] } {
    const pages: number[] = [];
    const chains: number[] = [];
    while (pages.length < most) {
      const start = pages.length * pageTokens;
      const part = tokens.slice(start, start + pageTokens);
      const known = this.#named.get(`${chains.at(-1) ?? emptyChain}:${part.join()}`);
      if (part.length < pageTokens || known === undefined) break;
      pages.push(known.page);
      chains.push(known.chain);
    }
    this.hold(pages);
    return { pages, chains };
  }
}

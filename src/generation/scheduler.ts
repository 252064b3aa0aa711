import { emptyChain, type PagePool, pageTokens } from "./pages.ts";

/** One response on its way, as the scheduler sees it. */
export interface Sequence {
  /** Prompt and response so far. */
  readonly tokens: number[];
  readonly promptLength: number;
  /** Where it stands in the order of arrival. */
  readonly order: number;
  /** Whether pages that others computed may be taken over. */
  readonly reuses: boolean;
  /** Responses to the same prompt, which begin when it is computed. */
  followers: Sequence[];
  pages: number[];
  /** The chain that each full page ends. */
  chains: number[];
  /** Tokens whose keys and values are in the pages. */
  computed: number;
  /** Whether it came in before, or its prompt with another response. */
  admitted: boolean;
}

/** Tokens of a sequence that the next step computes: `count` of them from `sequence.computed` on. */
export interface Work<S extends Sequence> {
  readonly sequence: S;
  readonly count: number;
}

/** Prompt tokens of a step in which nobody waits for a token, unless told, and beside those who do. */
const prefillTokens = { alone: 4096, beside: 512 };

const pagesFor = (tokens: number): number => Math.ceil(tokens / pageTokens);

/** Tokens of a sequence that are still to be computed. */
const missing = ({ tokens, computed }: Sequence): number => tokens.length - computed;

/**
 * Who computes what in the next step. Sequences come in by order of arrival, as many as there are rows and pages for. One that needs a
 * page when none is left takes those of the latest, which waits and is computed again later.
 */
export class Scheduler<S extends Sequence> {
  readonly #pool: PagePool;
  readonly #rows: number;
  readonly #alone: number;
  /** Both in the order of arrival. */
  #running: S[] = [];
  #waiting: S[] = [];
  /** Tokens of prompts that were found computed already; what is computed again for want of room does not count. */
  reusedTokens = 0;
  preemptions = 0;

  /** @param alone most prompt tokens of a step in which nobody waits for a token */
  constructor(pool: PagePool, rows: number, alone = prefillTokens.alone) {
    this.#pool = pool;
    this.#rows = rows;
    this.#alone = alone;
  }

  get running(): readonly S[] {
    return this.#running;
  }

  get waiting(): readonly S[] {
    return this.#waiting;
  }

  add(sequence: S): void {
    insert(this.#waiting, sequence);
  }

  /** What the next step computes; empty only when nothing is left to do. */
  next(): Work<S>[] {
    const work: Work<S>[] = [];
    for (let k = 0; k < this.#running.length; k++) {
      const sequence = this.#running[k]!;
      if (missing(sequence) === 1 && this.#grow(sequence, sequence.tokens.length)) work.push({ sequence, count: 1 });
    }
    const budget = work.length > 0 ? Math.min(prefillTokens.beside, this.#alone) : this.#alone;
    work.push(...this.#prompts(budget));
    return work;
  }

  /**
   * Shares a step's tokens among prompts: half of them, at least, goes to the one that came first, so that it comes to its end; of the
   * others the shortest go first, so that they don't wait for a long one.
   */
  #prompts(budget: number): Work<S>[] {
    const half = Math.ceil(budget / 2);
    const prompts = this.#running.filter((sequence) => missing(sequence) > 1);
    // Several long prompts leave room for those that come after them.
    const claim = (one: S, k: number) => Math.min(missing(one), k === 0 ? half : Math.ceil(budget / 8));
    let claimed = prompts.reduce((sum, one, k) => sum + claim(one, k), 0);
    while (claimed < budget) {
      const sequence = this.#admit();
      if (sequence === undefined) break;
      claimed += claim(sequence, prompts.length);
      prompts.push(sequence);
    }
    const [first, ...others] = prompts;
    if (first === undefined) return [];
    let left = budget;
    const counts = new Map<S, number>();
    const give = (sequence: S, most: number) => {
      const given = counts.get(sequence) ?? 0;
      const count = Math.min(missing(sequence) - given, most);
      counts.set(sequence, given + count);
      left -= count;
    };
    give(first, half);
    for (const sequence of others.sort((a, b) => missing(a) - missing(b))) give(sequence, left);
    give(first, left);
    return prompts.flatMap((sequence) => {
      const count = counts.get(sequence)!;
      return count > 0 ? [{ sequence, count }] : [];
    });
  }

  /** Takes the first of those that wait in, if there is room for its whole text, its followers and some growth of the others. */
  #admit(): S | undefined {
    const sequence = this.#waiting[0];
    if (sequence === undefined) return undefined;
    const { tokens, followers } = sequence;
    const alone = this.#running.length === 0;
    const rows = this.#running.reduce((sum, { followers }) => sum + 1 + followers.length, 1 + followers.length);
    if (!alone && rows > this.#rows) return undefined;
    // The last token is always computed: what follows it is wanted.
    const known = sequence.reuses
      ? this.#pool.find(tokens, Math.floor((tokens.length - 1) / pageTokens))
      : { pages: [], chains: [] };
    const needed = pagesFor(tokens.length) - known.pages.length;
    const growth = followers.length + Math.ceil(this.#running.length / 4);
    if (!alone && needed + growth > this.#pool.available) {
      this.#pool.release(known.pages);
      return undefined;
    }
    this.#waiting.shift();
    insert(this.#running, sequence);
    sequence.pages = known.pages;
    sequence.chains = known.chains;
    sequence.computed = known.pages.length * pageTokens;
    if (!sequence.admitted) this.reusedTokens += sequence.computed;
    sequence.admitted = true;
    this.#grow(sequence, tokens.length);
    return sequence;
  }

  /** Gives the sequence pages for so many tokens, those of the latest where it must; false where it is the latest itself. */
  #grow(sequence: S, tokens: number): boolean {
    while (sequence.pages.length < pagesFor(tokens)) {
      const page = this.#pool.take();
      if (page !== undefined) {
        sequence.pages.push(page);
        continue;
      }
      const latest = this.#running.at(-1)!;
      this.#preempt(latest);
      if (latest === sequence) return false;
    }
    return true;
  }

  #preempt(sequence: S): void {
    this.preemptions += 1;
    this.#leave(sequence);
    insert(this.#waiting, sequence);
  }

  #leave(sequence: S): void {
    this.#running.splice(this.#running.indexOf(sequence), 1);
    this.#pool.release(sequence.pages);
    sequence.pages = [];
    sequence.chains = [];
    sequence.computed = 0;
  }

  /** Books what a step computed. */
  computed({ sequence, count }: Work<S>): void {
    const { tokens, pages, chains } = sequence;
    sequence.computed += count;
    for (let k = chains.length; (k + 1) * pageTokens <= sequence.computed; k++) {
      const part = tokens.slice(k * pageTokens, (k + 1) * pageTokens);
      chains.push(this.#pool.name(pages[k]!, chains.at(-1) ?? emptyChain, part));
    }
  }

  /**
   * Followers of a sequence whose prompt is computed go on by themselves: they share its full pages, and have a copy of the one that
   * is not full. Gives the pages to copy, [from, to] each. One that finds no room waits.
   */
  fork(leader: S, followers: readonly S[]): [from: number, to: number][] {
    const full = Math.floor(leader.promptLength / pageTokens);
    const rest = leader.promptLength % pageTokens;
    const copies: [number, number][] = [];
    for (const follower of followers) {
      follower.admitted = true;
      const page = this.#running.length < this.#rows && rest > 0 ? this.#pool.take() : undefined;
      if (this.#running.length >= this.#rows || (rest > 0 && page === undefined)) {
        insert(this.#waiting, follower);
        continue;
      }
      follower.pages = leader.pages.slice(0, full);
      this.#pool.hold(follower.pages);
      follower.chains = leader.chains.slice(0, full);
      follower.computed = leader.promptLength;
      if (page !== undefined) {
        copies.push([leader.pages[full]!, page]);
        follower.pages.push(page);
      }
      insert(this.#running, follower);
    }
    return copies;
  }

  /** Forgets a sequence, and gives its pages back. */
  remove(sequence: S): void {
    if (this.#running.includes(sequence)) this.#leave(sequence);
    else this.#waiting = this.#waiting.filter((other) => other !== sequence);
  }
}

/** Keeps the order of arrival. */
function insert<S extends Sequence>(queue: S[], sequence: S): void {
  let at = queue.length;
  while (at > 0 && queue[at - 1]!.order > sequence.order) at--;
  queue.splice(at, 0, sequence);
}

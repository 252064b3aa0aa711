import { setTimeout as sleep } from "node:timers/promises";
import { type RawBuilder, sql } from "kysely";
import type { ScoreRequest } from "../schema/index.ts";
import { type StoredDraw, splitsOf } from "./draws.ts";
import { currentTime, persistently } from "./engine.ts";
import type { Worker } from "./leases.ts";
import type { Database } from "./tables.ts";

const pollMs = 500;

/** The responses that a worker was given to score of a shared ledger, until each has an outcome. */
export interface ScoreShare {
  /**
   * Prompts whose unscored responses this worker alone is to score now, by the keys of their messages; `requestsOf` reads
   * these. Waits for what others are at, and takes it over where they are gone.
   */
  requests(
    wanted: WantedScores,
    requestsOf: (messagesKeys: readonly string[]) => Promise<ReadonlyMap<string, readonly ScoreRequest[]>>,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<ScoreRequest>;
  /** The prompts whose last outcomes these are: they are free again when the outcomes are stored. */
  settled(reward: string, responseKeys: readonly string[]): readonly Lease[];
}

/** A prompt that is leased for a task. */
interface Lease {
  readonly task: string;
  readonly item: string;
}

export interface WantedScores {
  readonly stage: string;
  readonly reward: string;
  readonly draws: readonly StoredDraw[];
}

export function scoreShare(db: Database, worker: Worker): ScoreShare {
  /** What is still without an outcome, by lease; of the leases under `token` only. */
  let held = new Map<string, Lease & { readonly open: Set<string> }>();
  let leaseOf = new Map<string, string>();
  let token = "";
  const refresh = async (): Promise<string> => {
    const present = await worker.token();
    if (present !== token) [held, leaseOf] = [new Map(), new Map()];
    token = present;
    return token;
  };

  return {
    async *requests({ stage, reward, draws }, requestsOf, signal) {
      const task = `score ${stage} ${reward}`;
      const since = await currentTime(db);
      // What an earlier round of this process was given and has no outcome of is asked for anew.
      const present = await refresh();
      for (const [name, lease] of held) if (lease.task === task) held.delete(name);
      await persistently(() =>
        db.deleteFrom("leases").where("task", "=", task).where("worker", "=", present).execute(),
      );
      for (let after = -1; !signal?.aborted; ) {
        const own = await refresh();
        const claimed = await worker.claim(task, splitsOf(draws), after, lacksScores(draws, reward, since));
        if (claimed.length === 0 && after === -1) {
          if (!(await worker.othersAt(task))) return;
          await sleep(pollMs);
          continue;
        }
        after = claimed.at(-1)?.position ?? -1;
        const begun = new Set<string>();
        try {
          const found = await requestsOf(claimed.map(({ item }) => item));
          for (const [item, requests] of found) {
            if (signal?.aborted || (await refresh()) !== own) break;
            if (requests.length === 0) continue;
            begun.add(item);
            const lease = `${task} ${item}`;
            held.set(lease, { task, item, open: new Set(requests.map(({ responseKey }) => responseKey)) });
            for (const { responseKey } of requests) leaseOf.set(`${reward} ${responseKey}`, lease);
            yield* requests;
          }
        } finally {
          // What was complete after all, and what nobody has begun.
          const idle = claimed.map(({ item }) => item).filter((item) => !begun.has(item));
          await persistently(() => worker.release(db, task, idle));
        }
      }
    },

    settled(reward, responseKeys) {
      const settled: Lease[] = [];
      for (const responseKey of responseKeys) {
        const name = leaseOf.get(`${reward} ${responseKey}`);
        const holding = name === undefined ? undefined : held.get(name);
        if (name === undefined || holding === undefined) continue;
        leaseOf.delete(`${reward} ${responseKey}`);
        holding.open.delete(responseKey);
        if (holding.open.size > 0) continue;
        held.delete(name);
        settled.push(holding);
      }
      return settled;
    },
  };
}

/** Whether a prompt has a response of these draws that has no score of the reward, and has not failed since. */
const lacksScores = (draws: readonly StoredDraw[], reward: string, since: number): RawBuilder<boolean> =>
  sql<boolean>`exists (
    select 1 from responses where responses.prompt_no = prompts.prompt_no
      and (${sql.join(
        draws.map(
          ({ sampler, n, splits }) =>
            sql`(responses.sampler = ${sampler} and responses.idx < ${n} and prompts.split in (${sql.join(splits)}))`,
        ),
        sql` or `,
      )})
      and not exists (select 1 from scores where scores.prompt_no = responses.prompt_no and scores.response_key = responses.key
        and scores.reward = ${reward} and scores.checks_key = prompts.checks_key)
      and not exists (select 1 from score_failures where score_failures.response_key = responses.key
        and score_failures.reward = ${reward} and score_failures.checks_key = prompts.checks_key
        and score_failures.failed_at >= ${since}))`;

import { setTimeout as sleep } from "node:timers/promises";
import { type RawBuilder, sql } from "kysely";
import type { SampleOutcome, SampleRequest } from "../schema/index.ts";
import type { StoredDraw } from "./draws.ts";
import { currentTime, persistently } from "./engine.ts";
import type { Worker } from "./leases.ts";
import { requestsFor } from "./missing.ts";
import type { Database } from "./tables.ts";

const pollMs = 500;

/** The requests that a worker was given of a shared ledger, until each has an outcome. */
export interface Share {
  /** Requests that this worker alone is to make now; waits for what others are at, and takes it over where they are gone. */
  requests(draw: StoredDraw, signal: AbortSignal | undefined): AsyncGenerator<SampleRequest>;
  /** Outcomes that this worker may record: no failure of what another worker is at by now. */
  admitted(sampler: string, outcomes: readonly SampleOutcome[], keys: Keys): Promise<readonly SampleOutcome[]>;
  /** The prompts whose last outcomes these are: they are free again when the outcomes are stored. */
  settled(sampler: string, outcomes: readonly SampleOutcome[], keys: Keys): string[];
}

type Keys = (promptId: string) => string;

export function workerShare(db: Database, worker: Worker): Share {
  /** Indices without an outcome, by sampler and messages; of the leases under `token` only. */
  let held = new Map<string, Set<number>>();
  let token = "";
  const holding = (sampler: string, messagesKey: string) => `${sampler} ${messagesKey}`;
  const refresh = async (): Promise<string> => {
    const present = await worker.token();
    if (present !== token) held = new Map();
    token = present;
    return token;
  };

  return {
    async *requests(draw, signal) {
      const since = await currentTime(db);
      for (let after = -1; !signal?.aborted; ) {
        const own = await refresh();
        const keys = (await worker.claim(draw.sampler, draw.splits, after, lacksResponses(draw, since))).map(
          ({ item }) => item,
        );
        if (keys.length === 0 && after === -1) {
          if (!(await worker.othersAt(draw.sampler))) return;
          await sleep(pollMs);
          continue;
        }
        const page = await promptsWith(db, keys);
        after = page.at(-1)?.position ?? -1;
        const requests = await requestsFor(db, draw, page, since);
        const keyOf = new Map(page.map((prompt) => [prompt.id, prompt.messages_key]));
        for (const { promptId, indices } of requests) {
          held.set(holding(draw.sampler, keyOf.get(promptId)!), new Set(indices));
        }
        let given = 0;
        try {
          for (const request of requests) {
            if (signal?.aborted || (await refresh()) !== own) break;
            given += 1;
            yield request;
          }
        } finally {
          // What was complete after all, and what nobody has begun.
          const begun = new Set(requests.slice(0, given).map(({ promptId }) => keyOf.get(promptId)!));
          const idle = keys.filter((key) => !begun.has(key));
          for (const key of idle) held.delete(holding(draw.sampler, key));
          await persistently(() => worker.release(db, draw.sampler, idle));
        }
      }
    },

    async admitted(sampler, outcomes, keys) {
      const own = await refresh();
      const failed = outcomes.filter((outcome) => "failure" in outcome);
      if (failed.length === 0) return outcomes;
      const others = await persistently(() =>
        db
          .selectFrom("leases")
          .select("item")
          .where("task", "=", sampler)
          .where("item", "in", [...new Set(failed.map(({ promptId }) => keys(promptId)))])
          .where("worker", "!=", own)
          .execute(),
      );
      const theirs = new Set(others.map(({ item }) => item));
      return outcomes.filter((outcome) => "text" in outcome || !theirs.has(keys(outcome.promptId)));
    },

    settled(sampler, outcomes, keys) {
      const settled: string[] = [];
      for (const { promptId, index } of outcomes) {
        const name = holding(sampler, keys(promptId));
        const indices = held.get(name);
        indices?.delete(index);
        if (indices?.size !== 0) continue;
        held.delete(name);
        settled.push(keys(promptId));
      }
      return settled;
    },
  };
}

/** Whether a prompt lacks responses of the draw that have not failed since. */
const lacksResponses = ({ sampler, n }: StoredDraw, since: number): RawBuilder<boolean> =>
  sql<boolean>`(select count(*) from responses where responses.sampler = ${sampler}
      and responses.prompt_no = prompts.prompt_no and responses.idx < ${n})
    + (select count(*) from failures where failures.sampler = ${sampler}
      and failures.messages_key = prompts.messages_key and failures.idx < ${n}
      and failures.failed_at >= ${since}) < ${n}`;

async function promptsWith(db: Database, messagesKeys: readonly string[]) {
  if (messagesKeys.length === 0) return [];
  return await db
    .selectFrom("prompts")
    .select(["id", "position", "messages_key", "prompt_no", "messages_json"])
    .where("messages_key", "in", messagesKeys)
    .orderBy("position")
    .execute();
}

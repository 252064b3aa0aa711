import { chunks } from "./chunks.ts";
import { transact } from "./engine.ts";
import type { Database } from "./tables.ts";

/** Whose log-probability it is: every change of model, template or text is another key. All are digests. */
export interface ReferenceLogpKey {
  /** Digest of the reference model's weights and configuration. */
  readonly model: string;
  /** Digest of the tokenizer and chat template. */
  readonly template: string;
  /** Digest of the prompt's token ids. */
  readonly promptTokens: string;
  /** Digest of the response's token ids. */
  readonly response: string;
}

/** log pi_ref(y|x), summed over the response's tokens, in nats. */
export interface ReferenceLogp extends ReferenceLogpKey {
  readonly logp: number;
  readonly tokens: number;
}

export interface ReferenceLogpStore {
  /** For each key its log-probability, or undefined where the ledger has none yet. */
  get(
    keys: readonly ReferenceLogpKey[],
  ): Promise<Array<{ readonly logp: number; readonly tokens: number } | undefined>>;
  add(rows: readonly ReferenceLogp[]): Promise<void>;
}

export function referenceLogpStore(db: Database): ReferenceLogpStore {
  return {
    async get(keys) {
      const found = new Map<string, { logp: number; tokens: number }>();
      for (const some of chunks(keys)) {
        const rows = await db
          .selectFrom("reference_logps")
          .selectAll()
          .where("model", "in", [...new Set(some.map((key) => key.model))])
          .where("template", "in", [...new Set(some.map((key) => key.template))])
          .where("prompt_tokens", "in", [...new Set(some.map((key) => key.promptTokens))])
          .execute();
        for (const { model, template, prompt_tokens, response, logp, tokens } of rows) {
          found.set([model, template, prompt_tokens, response].join(" "), { logp, tokens });
        }
      }
      return keys.map((key) => found.get([key.model, key.template, key.promptTokens, key.response].join(" ")));
    },

    async add(rows) {
      await transact(db, async (transaction) => {
        for (const some of chunks(rows)) {
          await transaction
            .insertInto("reference_logps")
            .values(some.map(({ promptTokens, ...row }) => ({ ...row, prompt_tokens: promptTokens })))
            .onConflict((conflict) => conflict.doNothing())
            .execute();
        }
      });
    },
  };
}

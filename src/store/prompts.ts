import { type CheckSpec, contentKey, DataError, type Message, type Prompt } from "../schema/index.ts";
import { chunks } from "./chunks.ts";
import { forgetCounts } from "./counts.ts";
import { lockFor, transact } from "./engine.ts";
import type { Worker } from "./leases.ts";
import { numberPrompts } from "./prompt-numbers.ts";
import type { Database, Split, Tables } from "./tables.ts";

/** A prompt with the part of the run that it serves. */
export interface StoredPrompt extends Prompt {
  readonly split: Split;
}

export interface PromptReader {
  /** The prompts of these splits (all when none is named), in the order in which they were given. */
  list(splits?: readonly Split[]): Promise<StoredPrompt[]>;
  /** How many each split has. */
  counts(): Promise<Readonly<Record<Split, number>>>;
}

export interface PromptStore extends PromptReader {
  /**
   * Makes these the prompts of the run. Responses and scores of prompts that are gone stay under their content keys,
   * and count again when the prompt comes back; what stages did with other prompts is not done with these. Throws DataError
   * for the same id or the same messages twice.
   */
  replace(prompts: readonly StoredPrompt[]): Promise<void>;
}

type PromptRow = Tables["prompts"];
type UnnumberedRow = Omit<PromptRow, "prompt_no">;

export function promptStore(db: Database, worker?: Worker): PromptStore {
  return {
    async list(splits) {
      let query = db.selectFrom("prompts").selectAll().orderBy("position");
      if (splits !== undefined) query = query.where("split", "in", splits);
      return (await query.execute()).map(toPrompt);
    },

    async counts() {
      const rows = await db
        .selectFrom("prompts")
        .select((column) => ["split", column.fn.countAll<number>().as("count")])
        .groupBy("split")
        .execute();
      const count = (split: Split) => Number(rows.find((row) => row.split === split)?.count ?? 0);
      return { sft: count("sft"), wrpo: count("wrpo"), evaluation: count("evaluation") };
    },

    async replace(prompts) {
      const rows = prompts.map(toRow);
      refuseRepeated(rows);
      const digest = contentKey(rows.map((row) => [row.id, row.split, row.messages_key, row.checks_key, row.domain]));
      if (digest === (await storedDigest(db))) return;
      await transact(db, async (transaction) => {
        // Several workers may come to an empty ledger at once: the first one's prompts count.
        await lockFor(transaction, "prompts");
        const before = await storedDigest(transaction);
        if (digest === before) return;
        if (before !== undefined) await worker?.refuseBesideOthers("the prompts are not those of the ledger");
        await transaction.deleteFrom("prompts").execute();
        await transaction.deleteFrom("stages").execute();
        for (const some of chunks(rows)) {
          const numbers = await numberPrompts(
            transaction,
            some.map((row) => row.messages_key),
          );
          const numbered = some.map((row) => ({ ...row, prompt_no: numbers.get(row.messages_key)! }));
          await transaction.insertInto("prompts").values(numbered).execute();
        }
        await transaction
          .insertInto("meta")
          .values({ name: digestName, value: digest })
          .onConflict((conflict) => conflict.column("name").doUpdateSet({ value: digest }))
          .execute();
        await forgetCounts(transaction);
      });
    },
  };
}

/** The name in `meta` of the digest of all prompts: a run that goes on with the same ones need not write them again. */
export const digestName = "prompts";

async function storedDigest(db: Database): Promise<string | undefined> {
  const row = await db.selectFrom("meta").select("value").where("name", "=", digestName).executeTakeFirst();
  return row?.value;
}

/** A prompt with the keys of its messages and checks, and the number of its messages. */
export type PromptOnPage = StoredPrompt & {
  readonly messagesKey: string;
  readonly checksKey: string;
  readonly promptNo: number;
};

/** The prompts with these messages, in their order. */
export async function promptsWith(db: Database, messagesKeys: readonly string[]): Promise<PromptOnPage[]> {
  if (messagesKeys.length === 0) return [];
  const rows = await db
    .selectFrom("prompts")
    .selectAll()
    .where("messages_key", "in", messagesKeys)
    .orderBy("position")
    .execute();
  return rows.map(onPage);
}

/** The numbers of the messages of these prompts, by the prompts' ids. */
export async function numbersOfPrompts(db: Database, ids: readonly string[]): Promise<Map<string, number>> {
  const rows = await db
    .selectFrom("prompts")
    .select(["id", "prompt_no"])
    .where("id", "in", [...new Set(ids)])
    .execute();
  return new Map(rows.map(({ id, prompt_no }) => [id, prompt_no]));
}

/** The prompts with these ids, in their order. */
export async function promptsCalled(db: Database, ids: readonly string[]): Promise<PromptOnPage[]> {
  if (ids.length === 0) return [];
  const rows = await db.selectFrom("prompts").selectAll().where("id", "in", ids).orderBy("position").execute();
  return rows.map(onPage);
}

const onPage = (row: PromptRow): PromptOnPage => ({
  ...toPrompt(row),
  messagesKey: row.messages_key,
  checksKey: row.checks_key,
  promptNo: row.prompt_no,
});

/** Prompts of `splits` page by page, so that a ledger of any size is read in little memory and no reader holds a lock. */
export async function* promptPages(
  db: Database,
  splits: readonly Split[],
  pageSize = 256,
): AsyncGenerator<readonly PromptOnPage[]> {
  let after = -1;
  while (splits.length > 0) {
    const rows = await db
      .selectFrom("prompts")
      .selectAll()
      .where("position", ">", after)
      .where("split", "in", splits)
      .orderBy("position")
      .limit(pageSize)
      .execute();
    if (rows.length === 0) return;
    after = rows.at(-1)!.position;
    yield rows.map(onPage);
  }
}

function toRow(prompt: StoredPrompt, position: number): UnnumberedRow {
  return {
    id: prompt.id,
    position,
    split: prompt.split,
    messages_json: JSON.stringify(prompt.messages),
    messages_key: contentKey(prompt.messages),
    checks_json: JSON.stringify(prompt.checks),
    checks_key: contentKey(prompt.checks),
    domain: prompt.domain ?? null,
  };
}

function toPrompt(row: PromptRow): StoredPrompt {
  return {
    id: row.id,
    split: row.split,
    messages: JSON.parse(row.messages_json) as Message[],
    checks: JSON.parse(row.checks_json) as CheckSpec[],
    ...(row.domain === null ? {} : { domain: row.domain }),
  };
}

function refuseRepeated(rows: readonly UnnumberedRow[]): void {
  const ids = new Set<string>();
  const idByMessages = new Map<string, string>();
  for (const row of rows) {
    if (ids.has(row.id)) {
      throw new DataError(`the prompt id ${JSON.stringify(row.id)} stands twice`, {
        hint: "Give every prompt, training and evaluation together, an id of its own.",
      });
    }
    ids.add(row.id);
    const twin = idByMessages.get(row.messages_key);
    if (twin !== undefined) {
      throw new DataError(`the prompts ${JSON.stringify(twin)} and ${JSON.stringify(row.id)} have the same messages`, {
        hint: "Remove one of them: a prompt counts once, and a prompt of the evaluation is never trained on.",
      });
    }
    idByMessages.set(row.messages_key, row.id);
  }
}

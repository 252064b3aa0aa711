import { chunks } from "./chunks.ts";
import { transact } from "./engine.ts";
import type { Json } from "./results.ts";
import type { Database, Split } from "./tables.ts";

/** What was selected for a prompt, as response keys: y_ws alone for supervised tuning, all three for WRPO, and the worst of y_ws's own source where it gave another; or why nothing. */
export interface StoredSelection {
  readonly promptId: string;
  readonly sourceChosen?: string;
  readonly targetChosen?: string;
  readonly rejected?: string;
  readonly sourceRejected?: string;
  /** What stands beside y_ws where several responses of the sources were asked for, best first. */
  readonly furtherSources?: readonly string[];
  readonly leftOut?: string;
}

export interface SelectionReader {
  /** The selections of a split, in the prompts' order. */
  list(split: Split): Promise<StoredSelection[]>;
  /** What was kept with the selection of a split; undefined where there is none. */
  summary(split: Split): Promise<Json | undefined>;
}

export interface SelectionStore extends SelectionReader {
  /**
   * Replaces all selections of a split in one commit, with a summary that is kept beside them: a selection is cheap and
   * always made as a whole.
   */
  replace(split: Split, selections: readonly StoredSelection[], summary?: Json): Promise<void>;
}

/** The name in `meta` of what is kept with the selection of a split. */
export const summaryName = (split: Split): string => `selection/${split}`;

export function selectionStore(db: Database): SelectionStore {
  return {
    async list(split) {
      const rows = await db
        .selectFrom("selections")
        .innerJoin("prompts", "prompts.id", "selections.prompt_id")
        .selectAll("selections")
        .where("selections.split", "=", split)
        .orderBy("prompts.position")
        .execute();
      return rows.map((row) => ({
        promptId: row.prompt_id,
        ...(row.source_chosen === null ? {} : { sourceChosen: row.source_chosen }),
        ...(row.target_chosen === null ? {} : { targetChosen: row.target_chosen }),
        ...(row.rejected === null ? {} : { rejected: row.rejected }),
        ...(row.source_rejected === null ? {} : { sourceRejected: row.source_rejected }),
        ...(row.further_sources_json === null
          ? {}
          : { furtherSources: JSON.parse(row.further_sources_json) as readonly string[] }),
        ...(row.left_out === null ? {} : { leftOut: row.left_out }),
      }));
    },

    async summary(split) {
      const row = await db.selectFrom("meta").select("value").where("name", "=", summaryName(split)).executeTakeFirst();
      return row === undefined ? undefined : (JSON.parse(row.value) as Json);
    },

    async replace(split, selections, summary) {
      await transact(db, async (transaction) => {
        await transaction.deleteFrom("selections").where("split", "=", split).execute();
        for (const some of chunks(selections)) {
          // A prompt that moved to this split leaves its selection under the other.
          const ids = some.map((selection) => selection.promptId);
          await transaction.deleteFrom("selections").where("prompt_id", "in", ids).execute();
          await transaction
            .insertInto("selections")
            .values(
              some.map((selection) => ({
                prompt_id: selection.promptId,
                split,
                source_chosen: selection.sourceChosen ?? null,
                target_chosen: selection.targetChosen ?? null,
                rejected: selection.rejected ?? null,
                source_rejected: selection.sourceRejected ?? null,
                further_sources_json:
                  selection.furtherSources === undefined ? null : JSON.stringify(selection.furtherSources),
                left_out: selection.leftOut ?? null,
              })),
            )
            .execute();
        }
        await transaction.deleteFrom("meta").where("name", "=", summaryName(split)).execute();
        if (summary === undefined) return;
        const row = { name: summaryName(split), value: JSON.stringify(summary) };
        await transaction.insertInto("meta").values(row).execute();
      });
    },
  };
}

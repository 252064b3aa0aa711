import { mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { type ParquetColumn, type TableRow, writeTable } from "../../data/index.ts";

const turns = { list: { role: "text", content: "text" } } as const;
const text = (name: string, nullable = false): ParquetColumn => ({ name, type: "text", nullable });
const real = (name: string): ParquetColumn => ({ name, type: "real", nullable: true });
const messages = (name: string): ParquetColumn => ({ name, type: turns, nullable: false });
const responses = (name: string): ParquetColumn => ({
  name,
  type: { list: { source: "text", content: "text", reward: "real" } },
  nullable: false,
});
const rewardParts = (name: string): ParquetColumn => ({
  name,
  type: { list: { name: "text", value: "real", weight: "real" } },
  nullable: false,
});

/** The parts of a data set with their columns: those of TRL's conversational forms first, then Amalgam's own. */
export const datasetParts = {
  preference: [
    text("prompt_id"),
    text("domain", true),
    ...["prompt", "chosen", "rejected"].map(messages),
    ...["score_chosen", "score_rejected"].map(real),
    ...["parts_chosen", "parts_rejected"].map(rewardParts),
    ...["y_ws", "y_ls"].map(responses),
  ],
  sft: [
    text("prompt_id"),
    text("domain", true),
    ...["prompt", "completion"].map(messages),
    text("source", true),
    real("score"),
    rewardParts("parts"),
  ],
} as const satisfies Readonly<Record<string, readonly ParquetColumn[]>>;
export type DatasetPart = keyof typeof datasetParts;

/** Where the rows of a part stand in the folder, as `datasets` looks for them. */
export const partFile = (part: DatasetPart): string => `${part}/train-00000-of-00001.parquet`;

/** Writes the parts of a data set, those that have rows. */
export interface PartWriters {
  add(part: DatasetPart, row: TableRow): void;
  finish(): void;
  readonly rows: Readonly<Partial<Record<DatasetPart, number>>>;
}

export function partWriters(folder: string): PartWriters {
  const open = new Map<DatasetPart, ReturnType<typeof writeTable>>();
  const rows: Partial<Record<DatasetPart, number>> = {};
  return {
    rows,
    add(part, row) {
      let table = open.get(part);
      if (table === undefined) {
        const file = join(folder, partFile(part));
        mkdirSync(dirname(file), { recursive: true });
        table = writeTable(file, datasetParts[part]);
        open.set(part, table);
      }
      table.add([row]);
      rows[part] = (rows[part] ?? 0) + 1;
    },
    finish() {
      for (const table of open.values()) table.finish();
    },
  };
}

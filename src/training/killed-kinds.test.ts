import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { tinyFolder } from "../models/testing/tiny-model.ts";
import { objectiveOf } from "../objectives/index.ts";
import { loraSchema, recipeSchema } from "../schema/index.ts";
import { withMismatched } from "./mismatched.ts";
import type { PreferenceRow } from "./response-table.ts";
import { type ChildTraining, childWrpo, trainInChild, trainUntilKilled } from "./testing/child-training.ts";
import { tinyRecipe, tinyRows } from "./testing/tiny-rows.ts";
import type { ResolvedOptimisation } from "./train.ts";

const scratch = mkdtempSync(join(tmpdir(), "amalgam-killed-kinds-"));
const model = tinyFolder("llama");
afterAll(() => {
  for (const folder of [scratch, model]) rmSync(folder, { recursive: true, force: true });
});

const kills = 4;
const rows = tinyRows(12);

/** The rows as an objective of pairs takes them. */
function pairsFor(objective: ChildTraining["objective"] & object): PreferenceRow[] {
  const pairs = rows.map(({ reference, ...row }) => ({ ...row, responses: row.responses.slice(1) }));
  const matching = { maxLength: 2048, batchSize: 2, seed: 0 };
  return withMismatched({ training: pairs, heldOut: [] }, objectiveOf(objective, 1), matching).training.map((row) => ({
    ...row,
    reference: row.responses.map((y) => -2 * y.length),
  }));
}

const wrpoSection = recipeSchema.shape.wrpo;
const kto = wrpoSection.parse({ objective: "kto" });
const bco = wrpoSection.parse({ objective: "bco", beta: 0.3 });
const preference = { rows, objective: childWrpo };
const single = { rows: rows.map((row) => ({ ...row, responses: [row.responses[0]!] })) };
type Kind = Omit<ChildTraining, "model" | "recipe" | "folder"> & { readonly change?: Partial<ResolvedOptimisation> };

const kinds: [string, Kind][] = [
  [
    "supervised tuning by Lion, and the average of its weights",
    { ...single, change: { optimiser: "lion", learning_rate: 1e-3, ema_decay: 0.9, epochs: 20 } },
  ],
  [
    "Adafactor with a first moment, weights frozen",
    { ...preference, change: { optimiser: "adafactor", adafactor_beta1: 0.9, frozen: ["embed_tokens"] } },
  ],
  [
    "SGD with momentum, layers computed again",
    {
      ...preference,
      change: { optimiser: "sgd", learning_rate: 0.5, momentum: 0.9, activation_checkpointing: "layer" },
    },
  ],
  ["DoRA with dropout", { ...preference, change: { lora: loraSchema.parse({ rank: 4, dropout: 0.3, dora: true }) } }],
  ["a reference that moves", { ...preference, sync: { alpha: 0.6, everySteps: 3 } }],
  ["KTO, and an average of the weights", { rows: pairsFor(kto), objective: kto, change: { ema_decay: 0.8 } }],
  ["BCO, whose mean runs on", { rows: pairsFor(bco), objective: bco }],
];

test.each(kinds)(
  "%s: killed at random moments, the weights are those of an undisturbed training",
  async (name, { change = {}, ...kind }) => {
    const training = (): ChildTraining => ({
      model,
      ...kind,
      recipe: tinyRecipe({ epochs: 6, batch_size: 2, checkpoint_every_steps: 2, keep_last: 2, ...change }),
      folder: mkdtempSync(join(scratch, "training-")),
    });
    const [undisturbed, killed] = [training(), training()];
    const weights = ({ folder }: ChildTraining) => readFileSync(join(folder, "final.safetensors"));
    const end = (await trainInChild(scratch, undisturbed)).lines.at(-1);
    expect(end).toMatch(/^finished after [1-9]/);
    for (let kill = 0; kill < kills; kill++) {
      const ended = await trainUntilKilled(scratch, killed, 4);
      expect(ended.signal, name).toBe("SIGKILL");
    }
    expect((await trainInChild(scratch, killed)).lines.at(-1)).toBe(end);
    expect(weights(killed).equals(weights(undisturbed))).toBe(true);
  },
);

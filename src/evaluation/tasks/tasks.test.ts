import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { aggregate } from "./aggregate.ts";
import { promptsOf } from "./few-shot.ts";
import { tasks } from "./registry.ts";

const expectedSchema = z.object({
  context_sha256: z.union([z.string(), z.array(z.string())]),
  continuations: z.array(z.string()).optional(),
  loglikelihoods: z.array(z.number()).optional(),
  metrics: z.record(z.string(), z.number()).optional(),
  generation: z.string().optional(),
  filters: z.record(z.string(), z.object({ extracted: z.string(), exact_match: z.number() })).optional(),
});
const casesSchema = z.object({
  tasks: z.record(
    z.string(),
    z.object({
      num_fewshot: z.int(),
      fewshot_pool: z.array(z.unknown()),
      docs: z.array(z.unknown()),
      expected: z.array(expectedSchema),
      aggregate: z.record(z.string(), z.number()),
    }),
  ),
});

/** Made by lm-eval 0.4.5's own task classes, with a scripted model. */
const { tasks: cases } = casesSchema.parse(
  JSON.parse(readFileSync(new URL("../fixtures/tasks/harness-cases.json", import.meta.url), "utf8")),
);
const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");
const placed = (name: string, rows: readonly unknown[]) =>
  rows.map((row) => ({ row, document: taskOf(name).row.parse(row) }));
const taskOf = (name: string) => tasks.get(name.startsWith("mmlu") ? "mmlu" : name.replace(/_\d+$/, ""))!;
/** The fixture says `acc` for `acc,none`, and `acc_stderr,x` for the error of `acc,x`. */
const filtered = (key: string) => (key.includes(",") ? key : `${key},none`);

describe("as lm-eval 0.4.5", () => {
  test.each(Object.entries(cases))("%s", (name, { num_fewshot, fewshot_pool, docs, expected, aggregate: whole }) => {
    const task = taskOf(name);
    const prompts = promptsOf(task, placed(name, docs), placed(name, fewshot_pool), num_fewshot);
    const scores = prompts.map(({ requests, document }, at) => {
      const wanted = expected[at]!;
      const shas = requests.map(({ context }) => sha256(context));
      expect(shas).toEqual(
        Array.isArray(wanted.context_sha256) ? wanted.context_sha256 : shas.map(() => wanted.context_sha256),
      );
      if (task.kind === "written") {
        const found = task.extract!(wanted.generation!);
        const given = Object.entries(wanted.filters!);
        expect(found).toEqual(Object.fromEntries(given.map(([filter, { extracted }]) => [filter, extracted])));
        const score = task.score(document, wanted.generation!);
        expect(score).toEqual(
          Object.fromEntries(given.map(([filter, { exact_match }]) => [`exact_match,${filter}`, exact_match])),
        );
        return score;
      }
      expect(requests.map(({ continuation }) => continuation)).toEqual(wanted.continuations);
      const score = task.score(document, wanted.loglikelihoods!);
      for (const [key, value] of Object.entries(wanted.metrics!))
        expect(score[filtered(key)], key).toBeCloseTo(value, 14);
      return score;
    });
    for (const metric of task.metrics) {
      const { value, standardError } = aggregate(metric, scores);
      const [base, filter] = metric.key.split(",") as [string, string];
      const suffix = filter === "none" ? "" : `,${filter}`;
      expect(value).toBeCloseTo(whole[`${base}${suffix}`]!, 14);
      expect(standardError).toBeCloseTo(whole[`${base}_stderr${suffix}`]!, 14);
    }
  });
});

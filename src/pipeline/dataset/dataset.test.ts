import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readRows } from "../../data/index.ts";
import { checkData, readDataRows } from "../../preferences/index.ts";
import { resolvedYaml } from "../../schema/index.ts";
import { openLedger, readLedger } from "../../store/index.ts";
import { silent } from "../events.ts";
import { inspectTexts } from "../inspect/index.ts";
import { recipe, rewardIdentity, syntheticRun } from "../report/testing/synthetic-run.ts";
import { exportDataset } from "./index.ts";
import { partFile } from "./parts.ts";

const base = mkdtempSync(join(tmpdir(), "dataset-"));
const run = join(base, "run");
const folder = join(base, "data");
const around = { signal: new AbortController().signal, listener: silent };
afterAll(() => rmSync(base, { recursive: true }));

beforeAll(async () => {
  const ledger = await syntheticRun(run, "selected");
  await ledger.meta.set("recipe", "digest-of-the-recipe");
  await ledger.close();
  const model = join(run, "model");
  cpSync(new URL("../../models/fixtures/tiny-llama/", import.meta.url), model, { recursive: true });
  writeFileSync(join(model, "README.md"), "---\nlicense: apache-2.0\n---\n# Tiny\n");
  for (const name of ["prompts", "held-out"]) writeFileSync(join(run, `${name}.jsonl`), '{"prompt": "Hello?"}\n');
  const [first, ...others] = recipe.sources;
  writeFileSync(
    join(run, "recipe.yaml"),
    resolvedYaml({ ...recipe, sources: [{ ...first!, model } as never, ...others] }),
  );
  await exportDataset({ run, folder, ...around });
});

async function rowsOf(part: "preference" | "sft"): Promise<Record<string, { readonly content: string }[]>[]> {
  const rows = [];
  for await (const { value } of readRows(join(folder, partFile(part))))
    rows.push(value as Record<string, { readonly content: string }[]>);
  return rows;
}

describe("a run's selections as a data set", () => {
  test("every quadruple and every row of the tuning is in it, with the ledger's texts, rewards and sources", async () => {
    const reader = await readLedger(run);
    const scored = new Map<string, { text: string; value: number; source: string }>();
    for (const stage of ["sources", "target"])
      for await (const { responses } of reader.scores.byPrompt(stage, rewardIdentity))
        for (const response of responses) scored.set(response.key, response);
    const whole = async (split: "sft" | "wrpo") =>
      (await reader.selections.list(split)).filter(
        ({ leftOut, ...keys }) =>
          leftOut === undefined &&
          [keys.sourceChosen, keys.targetChosen, keys.rejected].every(
            (key) => key === undefined || scored.get(key)!.text.isWellFormed(),
          ),
      );
    const prompts = new Map((await reader.prompts.list()).map((prompt) => [prompt.id, prompt]));
    const wellFormed = ({ promptId }: { promptId: string }) =>
      prompts.get(promptId)!.messages[0]!.content.isWellFormed();
    const quadruples = (await whole("wrpo")).filter(wellFormed);
    const tuned = (await whole("sft")).filter(wellFormed);
    await reader.close();
    expect(quadruples.length).toBeGreaterThan(20);
    expect(await rowsOf("preference")).toMatchObject(
      quadruples.map(({ promptId, sourceChosen, targetChosen, rejected }) => {
        const [ws, wt, l] = [sourceChosen, targetChosen, rejected].map((key) => scored.get(key!)!);
        return {
          prompt_id: promptId,
          prompt: prompts.get(promptId)!.messages,
          chosen: [{ role: "assistant", content: wt!.text }],
          rejected: [{ role: "assistant", content: l!.text }],
          score_chosen: wt!.value,
          score_rejected: l!.value,
          y_ws: [{ source: ws!.source, content: ws!.text, reward: ws!.value }],
          y_ls: [],
        };
      }),
    );
    expect(await rowsOf("sft")).toMatchObject(
      tuned.map(({ promptId, sourceChosen }) => {
        const { text, value, source } = scored.get(sourceChosen!)!;
        return { prompt_id: promptId, completion: [{ role: "assistant", content: text }], source, score: value };
      }),
    );
  });

  test("its card counts, names sources with the licences that they state, the reward, the recipe and what is left out", () => {
    const card = readFileSync(join(folder, "README.md"), "utf8");
    expect(card).toMatch(/\| smollm \| .*model \| apache-2\.0 \| \d+ \|/);
    expect(card).toContain("| gemma | gemma-3-270m at an endpoint | not known here |");
    expect(card).toContain(rewardIdentity);
    expect(card).toContain("digest-of-the-recipe");
    expect(card).toMatch(/- \d+: a text holds half a surrogate pair/);
    expect(card).not.toContain("secret");
  });

  test("is read again: for WRPO, to be checked, and to be looked at", async () => {
    const file = join(folder, partFile("preference"));
    const wanted = { objective: "wrpo", roles: ["source_chosen", "target_chosen", "rejected"] } as const;
    const rows = [];
    for await (const row of readDataRows([file], wanted)) rows.push(row);
    const written = await rowsOf("preference");
    expect(rows.map(({ responses }) => responses)).toEqual(
      written.map((row) => [...row.y_ws!, ...row.chosen!, ...row.rejected!].map(({ content }) => content)),
    );
    const found = await checkData(file, {
      against: [],
      ngram: 13,
      nearDuplicates: 0,
      maxCharacters: 1e6,
      progress() {},
    });
    expect(found.problems.form).toBeUndefined();
    const texts = inspectTexts({ path: file, kind: "data", filter: {}, limit: 1, ...around });
    expect((await texts.next()).value).toMatch(/reward .*<- y_ws/);
  });

  test("replaces nothing, and a run that selected nothing gives none", async () => {
    await expect(exportDataset({ run, folder, ...around })).rejects.toThrow("there is something here already");
    const empty = join(base, "empty");
    await (await openLedger(empty)).close();
    await expect(exportDataset({ run: empty, folder: join(base, "none"), ...around })).rejects.toThrow(
      "the run has selected nothing yet",
    );
  });
});

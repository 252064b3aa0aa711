import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readLedger } from "../store/index.ts";
import { runPaths } from "./run.ts";
import { runStatus } from "./status.ts";
import { amalgam, toldRun } from "./testing/child-run.ts";
import { jsonLines, runFolder, tinyWorld } from "./testing/tiny-world.ts";

const weights = (folder: string) => readFileSync(join(runPaths(folder).fusedModel, "model.safetensors"));

/** Every response with its reward, by (stage, source, prompt, index); one that stands twice is refused. */
async function everything(folder: string): Promise<Map<string, unknown>> {
  const ledger = await readLedger(folder);
  const found = new Map<string, unknown>();
  try {
    await ledger.verify();
    const scored = await ledger.scoreStatus();
    for (const { stage, reward } of scored)
      for await (const { prompt, responses } of ledger.scores.byPrompt(stage, reward))
        for (const { source, index, text, finish, value } of responses) {
          const key = `${stage} ${source} ${prompt.id} ${index}`;
          expect(found.has(key), key).toBe(false);
          found.set(key, { text, finish, value });
        }
    for (const split of ["sft", "wrpo"] as const) found.set(split, await ledger.selections.list(split));
    for (const { stage, source, done, total } of await ledger.drawStatus())
      expect([stage, source, done]).toEqual([stage, source, total]);
  } finally {
    await ledger.close();
  }
  return found;
}

/** What two runs of one recipe have in common to the last bit. */
async function expectSameResult(folder: string, undisturbed: string): Promise<void> {
  expect(await everything(folder)).toEqual(await everything(undisturbed));
  for (const stage of ["sft", "wrpo"] as const) {
    const figures = (run: string) =>
      jsonLines(runPaths(run).metrics(stage)).map(({ step, loss, grad_norm }) => ({ step, loss, grad_norm }));
    expect(figures(folder)).toEqual(figures(undisturbed));
  }
  expect(readFileSync(runPaths(folder).quadruples, "utf8")).toBe(
    readFileSync(runPaths(undisturbed).quadruples, "utf8"),
  );
  expect(weights(folder).equals(weights(undisturbed))).toBe(true);
}

describe("kill -9", () => {
  const world = tinyWorld();
  const undisturbed = runFolder(world, "undisturbed");
  let steps = 0;
  let firstReferences = "";

  beforeAll(async () => {
    const { code, text } = await toldRun(world.folder, [undisturbed, world.recipeFile]);
    expect([code, text]).toEqual([0, expect.any(String)]);
    steps = text.split("\n").filter((line) => line.startsWith("progress ")).length;
    const references = text.match(/^progress wrpo reference log-probs \d+$/gm)!;
    expect(references.length).toBeGreaterThan(1);
    firstReferences = references[0]!;
  });
  afterAll(() => world.remove());

  test("at some fifteen moments all over the run: the result is that of a run that was not killed", async () => {
    const folder = runFolder(world, "killed");
    const killedIn = new Set<string>();
    let kills = 0;
    for (let attempt = 0; ; attempt += 1) {
      expect(attempt).toBeLessThan(60);
      // Now and then a stage is killed as it begins or ends, else somewhere within. The furthest is past a checkpoint's
      // two steps on a machine that writes it slowly: were each attempt killed before, the run would never end.
      const after = Math.ceil(Math.random() * Math.max(5, steps / 8));
      const delay = Math.random() * 12;
      let heard = 0;
      let stage = "";
      const ended = await toldRun(world.folder, [folder, world.recipeFile], (line, child) => {
        const [word, name] = line.split(" ");
        if (word === "started" || word === "progress") stage = name!;
        if (word !== "progress" && word !== "finished") return;
        heard += 1;
        if (heard === after) setTimeout(() => child.kill("SIGKILL"), delay);
      });
      if (ended.signal === null) {
        expect([ended.code, ended.text]).toEqual([0, expect.any(String)]);
        break;
      }
      expect(ended.signal).toBe("SIGKILL");
      kills += 1;
      killedIn.add(stage);
    }
    expect(kills).toBeGreaterThan(7);
    expect(killedIn.size).toBeGreaterThan(2);
    await expectSameResult(folder, undisturbed);
  });

  test("in training: among the reference's log-probs, between two checkpoints, after the last step", async () => {
    const folder = runFolder(world, "killed-in-training");
    const last = jsonLines(runPaths(undisturbed).metrics("wrpo")).length;
    expect(last).toBeGreaterThan(4);
    for (const [dieAt, firstStep] of [
      ["progress sft supervised tuning 3", undefined],
      ["progress sft supervised tuning 4", undefined],
      [firstReferences, undefined],
      ["progress wrpo wrpo 3", 1],
      ["progress wrpo wrpo 4", 3],
      [`progress wrpo wrpo ${last}`, 3],
    ] as const) {
      const { signal, text } = await toldRun(world.folder, [folder, world.recipeFile, dieAt]);
      expect(signal).toBe("SIGKILL");
      const steps = /^progress wrpo wrpo (\d+)$/m.exec(text);
      expect(steps === null ? undefined : Number(steps[1])).toBe(firstStep);
    }
    const { code } = await toldRun(world.folder, [folder, world.recipeFile]);
    expect(code).toBe(0);
    await expectSameResult(folder, undisturbed);
  });
});

describe("Ctrl-C", () => {
  const training = { precision: "fp32", learning_rate: 1e-3, max_length: 160, max_prompt_length: 120 } as const;
  // Each stage long enough that the signal finds it at work.
  const world = tinyWorld({
    sampling: { n: 12, max_tokens: 32, temperature: 1, top_p: 1 },
    sft: { ...training, batch_size: 1, epochs: 15, checkpoint_every_steps: 1000 },
    wrpo: { ...training, batch_size: 1, epochs: 8, beta: 0.1, checkpoint_every_steps: 1000 },
    evaluation: { prompts: { file: "held-out.jsonl" }, k: 16, bootstrap: 200 },
  });
  afterAll(() => world.remove());

  test("ends in sampling, training and evaluation with its code and the way on, and the run goes on", async () => {
    const folder = runFolder(world, "stopped");
    const words = ["run", folder, "--recipe", world.recipeFile];
    for (const [stage, line] of [
      ["sample", /^sampl/i],
      ["sft", /^(supervised|tun|train)/i],
      ["wrpo", /^wrpo/i],
      ["evaluate", /^evaluat/i],
    ] as const) {
      let sent = false;
      const { code, text } = await amalgam(words, (heard, child) => {
        if (sent || !line.test(heard) || !heard.endsWith("...")) return;
        sent = true;
        setTimeout(() => child.kill("SIGINT"), 50);
      });
      expect([stage, code, text]).toEqual([stage, 130, expect.stringContaining("the same command goes on from here")]);
      const { stages, writer } = await runStatus(folder);
      expect(writer).toBeUndefined();
      expect(stages.find((status) => status.stage === stage)!.state).toBe("interrupted");
    }
    const finished = await amalgam(words);
    expect([finished.code, finished.text]).toEqual([0, expect.stringContaining(runPaths(folder).fusedModel)]);

    const undisturbed = runFolder(world, "undisturbed");
    expect((await amalgam(["run", undisturbed, "--recipe", world.recipeFile])).code).toBe(0);
    await expectSameResult(folder, undisturbed);
  });
});

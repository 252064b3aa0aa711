import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { runPaths } from "../run.ts";
import { runStatus } from "../status.ts";
import { amalgam } from "../testing/child-run.ts";
import { jsonLines, tinyWorld } from "../testing/tiny-world.ts";
import type { SweepReport } from "./write.ts";

const world = tinyWorld();
const file = join(world.folder, "sweep.yaml");
writeFileSync(
  file,
  "recipe: world.yaml\nvariants: [{ name: wrpo }, { name: dpo, set: { wrpo.objective: dpo } }, { name: untuned, set: { sft.enabled: false } }]\n",
);
const names = ["wrpo", "dpo", "untuned"];
const undisturbed = join(world.folder, "undisturbed");
const words = (folder: string) => ["sweep", file, folder, "--offline"];

beforeAll(async () => {
  const { code, text } = await amalgam(words(undisturbed));
  expect([code, text]).toEqual([0, expect.stringContaining(join(undisturbed, "sweep.html"))]);
});
afterAll(() => world.remove());

/** What two sweeps of one file have in common to the last bit. */
async function expectSameResults(folder: string): Promise<void> {
  const figures = (root: string) =>
    (JSON.parse(readFileSync(join(root, "sweep.json"), "utf8")) as SweepReport).variants.map(
      ({ folder: _, seconds: __, seed: ___, ...result }) => result,
    );
  expect(figures(folder)).toEqual(figures(undisturbed));
  for (const name of names) {
    const [own, other] = [join(folder, name), join(undisturbed, name)];
    const weights = (run: string) => readFileSync(join(runPaths(run).fusedModel, "model.safetensors"));
    expect(weights(own).equals(weights(other)), name).toBe(true);
    const losses = (run: string) => jsonLines(runPaths(run).metrics("wrpo")).map(({ step, loss }) => ({ step, loss }));
    expect(losses(own)).toEqual(losses(other));
    const [{ draws, scores }, whole] = [await runStatus(own), await runStatus(other)];
    expect({ draws, scores }).toEqual({ draws: whole.draws, scores: whole.scores });
  }
}

test("kill -9 all over a sweep, between its variants too: the results are those of one that was not killed", async () => {
  const folder = join(world.folder, "killed");
  const killsAtMost = 12;
  let kills = 0;
  for (let going = true; going; ) {
    // After so many lines of what begins and ends, and a moment.
    const after = kills < killsAtMost ? 1 + Math.floor(Math.random() * 24) : Number.POSITIVE_INFINITY;
    const delay = Math.random() * 150;
    let lines = 0;
    const ended = await amalgam(words(folder), (_, child) => {
      lines += 1;
      if (lines === after) setTimeout(() => child.kill("SIGKILL"), delay);
    });
    going = ended.signal !== null;
    if (going) kills += 1;
    else expect([ended.code, ended.text]).toEqual([0, expect.any(String)]);
  }
  expect(kills).toBeGreaterThan(2);
  await expectSameResults(folder);
});

test("as the next variant's run begins: it is there as a whole or not at all", async () => {
  const folder = join(world.folder, "killed-between");
  for (const delay of [0, 3, 6, 10, 15, 25, 40]) {
    const { signal } = await amalgam(words(folder), (line, child) => {
      if (/^writing the report: done|^variant 2/.test(line)) setTimeout(() => child.kill("SIGKILL"), delay);
    });
    if (signal === null) break;
  }
  expect((await amalgam(words(folder))).code).toBe(0);
  await expectSameResults(folder);
});

test("Ctrl-C ends with its code and the way on, `status` says how far it is, and the same command goes on", async () => {
  const folder = join(world.folder, "stopped");
  const { code, text } = await amalgam(words(folder), (line, child) => {
    if (line.startsWith("  variant 2 of 3")) child.kill("SIGINT");
  });
  expect([code, text]).toEqual([130, expect.stringContaining("the same command goes on from here")]);
  const status = await amalgam(["status", folder]);
  expect([status.code, status.text]).toEqual([0, expect.stringContaining("1 of 3 variants are done")]);
  expect(status.text).toMatch(/^dpo +interrupted/m);
  expect(status.text).toMatch(/^untuned +waiting/m);
  expect((await amalgam(words(folder))).code).toBe(0);
  await expectSameResults(folder);
  // A variant's folder is a run's.
  const own = await amalgam(["status", join(folder, "dpo")]);
  expect([own.code, own.text]).toEqual([0, expect.stringContaining("Fused model: ")]);
});

test("one failed variant ends with exit code 1, and the table has the others", async () => {
  const broken = join(world.folder, "broken.yaml");
  writeFileSync(
    broken,
    "recipe: world.yaml\nvariants: [{ name: tight, set: { wrpo.max_length: 9, wrpo.max_prompt_length: 8 } }, { name: fine }]\n",
  );
  const { code, text } = await amalgam(["sweep", broken, join(world.folder, "broken"), "--offline"]);
  expect(code).toBe(1);
  expect(text).toMatch(/^tight .*failed$/m);
  expect(text).toMatch(/^fine +[\d.]+ .*done$/m);
  expect(text).toContain("tight failed: WRPO: no row fits into 9 tokens");
});

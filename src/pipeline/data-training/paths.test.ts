import { cpSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { ownData, pairs, weightsDigest } from "../testing/own-data.ts";
import { hearing } from "../testing/tiny-world.ts";

const { folder, model, jsonl, own, remove } = ownData();
afterAll(remove);

/** A folder of somebody's, with a model in it and what else is named. */
function project(name: string, others: readonly string[] = []): string {
  const path = join(folder, name);
  mkdirSync(path);
  cpSync(model, join(path, "model"), { recursive: true });
  for (const other of others) mkdirSync(join(path, other));
  return path;
}

describe("an output folder", () => {
  test("whose model is somebody's is refused, and stays as it is", async () => {
    const path = project("mine", ["checkpoints"]);
    const data = [jsonl(pairs(2))];
    for (const trained of [model, join(path, "model")])
      await expect(own("mine", { data, model: trained })).rejects.toMatchObject({ code: "TRAINING" });
    expect(weightsDigest(join(path, "model"))).toBe(weightsDigest(model));
    expect(existsSync(join(path, "checkpoints"))).toBe(true);
    expect(existsSync(join(path, "ledger"))).toBe(false);
  });

  test("that the data stand in under the name of a file of its own is refused", async () => {
    mkdirSync(join(folder, "rows"));
    const file = join(folder, "rows", "rows.jsonl");
    const text = readFileSync(jsonl(pairs(2)), "utf8");
    writeFileSync(file, text);
    await expect(own("rows", { data: [file] })).rejects.toThrow("no training on data wrote it");
    expect(readFileSync(file, "utf8")).toBe(text);
  });

  test("whose own model is to be trained on, by whatever path, is refused", async () => {
    const data = [jsonl(pairs(2))];
    const { model: first } = await own("stages", { data });
    const digest = weightsDigest(first);
    symlinkSync(join(folder, "stages"), join(folder, "link"));
    for (const named of [first, join(folder, "link", "model"), `${first}/`])
      await expect(own("stages", { data, model: named })).rejects.toThrow("would read");
    await expect(own("stages", { data: [join(folder, "stages", "report.json")] })).rejects.toThrow("would read");
    expect(weightsDigest(first)).toBe(digest);
    // Into another folder it may.
    expect((await own("further", { data, model: first })).steps).toBe(1);
  });

  test("within a folder of data that is read is refused: what is written would be data the next time", async () => {
    const data = join(folder, "data");
    mkdirSync(data);
    cpSync(jsonl(pairs(3)), join(data, "rows.jsonl"));
    await expect(own("data/out", { data: [data] })).rejects.toThrow("the output folder lies in");
    expect(existsSync(join(data, "out"))).toBe(false);
  });

  test("shows that nothing was computed where a setting names weights that aren't there", async () => {
    const data = [jsonl(pairs(2))];
    for (const setting of ["frozen=[nothing]", "lora={target_modules: [nothing]}"]) {
      const heard = hearing();
      await expect(own("early", { data, settings: [setting] }, heard)).rejects.toThrow("nothing");
      expect(heard.progress).toEqual([]);
    }
  });

  test("may have what a training never touches beside it", async () => {
    mkdirSync(join(folder, "beside", "notes"), { recursive: true });
    const file = join(folder, "beside", "pairs.jsonl");
    writeFileSync(file, readFileSync(jsonl(pairs(2))));
    expect((await own("beside", { data: [file] })).steps).toBe(1);
    expect(existsSync(file)).toBe(true);
  });
});

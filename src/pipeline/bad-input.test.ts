import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import Driver from "libsql";
import { afterAll, describe, expect, test } from "vitest";
import { tinyFolder } from "../models/testing/tiny-model.ts";
import { stageNames } from "./events.ts";
import { runPaths } from "./run.ts";
import { runStages } from "./stages.ts";
import { runStatus } from "./status.ts";
import { amalgam } from "./testing/child-run.ts";
import { hearing, jsonLines, promptRows, runFolder, tinyWorld, withRun } from "./testing/tiny-world.ts";

const world = tinyWorld();
afterAll(() => world.remove());

const promptFile = (name: string, text: string) => {
  writeFileSync(join(world.folder, name), text);
  return { file: name };
};
const run = (folder: string, ...words: string[]) => amalgam(["run", folder, "--recipe", world.recipeFile, ...words]);
const drawn = async (folder: string) =>
  (await runStatus(folder)).draws.map(({ stage, source, done }) => `${stage} ${source} ${done}`);

/** One line for the person, no stack trace, exit code 1. */
function expectComplaint({ code, text }: { code: number | null; text: string }, ...parts: (string | RegExp)[]): void {
  for (const part of parts) expect(text).toMatch(part);
  expect(text).not.toMatch(/defect|^\s+at /m);
  expect(code).toBe(1);
}

describe("the run folder", () => {
  test("one that another process holds is refused, with who holds it; looking in is allowed", async () => {
    const folder = runFolder(world, "held");
    await withRun({ folder, recipeFile: world.recipeFile }, async (held) => {
      await runStages(held, ["sample"]);
      expectComplaint(await run(folder, "--set", "seed=8"), `process ${process.pid} on `, "amalgam status");
      expect((await amalgam(["status", folder])).code).toBe(0);
      await runStages(held, ["score"]);
    });
    expect(readFileSync(runPaths(folder).recipe, "utf8")).toMatch(/^seed: 7$/m);
  });

  test("one whose process was killed is free at once", async () => {
    const folder = runFolder(world, "orphaned");
    await withRun({ folder, recipeFile: world.recipeFile }, (held) => runStages(held, ["sample"]));
    const holder = spawn(process.execPath, ["--input-type=module", "-e", holding(folder)], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    await once(holder.stdout, "data");
    expectComplaint(await run(folder), `process ${holder.pid} on `);
    holder.kill("SIGKILL");
    await once(holder, "close");
    await withRun({ folder }, async (again) => runStages(again, ["sample", "score"]));
    expect((await runStatus(folder)).stages[1]).toMatchObject({ stage: "score", state: "done" });
  });

  test("one of a newer Amalgam is refused by every command, and not touched", async () => {
    const folder = runFolder(world, "newer");
    await withRun({ folder, recipeFile: world.recipeFile }, (made) => runStages(made, ["sample"]));
    const file = join(folder, "run.db");
    const driver = new Driver(file);
    driver.prepare("UPDATE meta SET value = '99' WHERE name = 'schema_version'").run();
    driver.exec("PRAGMA wal_checkpoint(TRUNCATE)");
    driver.close();
    const before = readFileSync(file);
    for (const words of [
      ["run", folder, "--set", "seed=8"],
      ["sample", folder],
      ["status", folder],
    ])
      expectComplaint(await amalgam(words), "this ledger has schema 99", "upgrade Amalgam");
    expect(readFileSync(file).equals(before)).toBe(true);
    expect(readFileSync(runPaths(folder).recipe, "utf8")).toMatch(/^seed: 7$/m);
  });

  test("one without a recipe asks for it", async () => {
    expectComplaint(await amalgam(["run", join(world.folder, "runs", "nothing")]), "no recipe", "--recipe FILE");
    expect(existsSync(join(world.folder, "runs", "nothing"))).toBe(false);
  });
});

describe("prompts", () => {
  test("a split with none is refused before anything is made", async () => {
    world.write({ prompts: promptFile("one.jsonl", promptRows("one", 1)) });
    const folder = join(world.folder, "runs", "one");
    expectComplaint(
      await run(folder),
      "leaves none for supervised tuning",
      "selection.sft_share",
      "raise prompts.limit",
    );
    expectComplaint(await run(folder), `${world.recipeFile}, selection.sft_share`);
    expect(existsSync(folder)).toBe(false);
    world.write({});
  });

  test("one that is trained on and held out is refused, and the run keeps its recipe and prompts", async () => {
    const folder = runFolder(world, "leak");
    await withRun({ folder, recipeFile: world.recipeFile }, (made) => runStages(made, ["sample"]));
    const leak = promptRows("train", 1).replace('"train-0"', '"sly"');
    world.write({ evaluation: { ...world.recipe.evaluation, prompts: promptFile("leak.jsonl", leak) } });
    expectComplaint(await run(folder), '"train-0" and "sly" have the same messages');
    world.write({});
    expect(readFileSync(runPaths(folder).recipe, "utf8")).not.toContain("leak.jsonl");
    expect((await runStatus(folder)).prompts).toEqual({ sft: 4, wrpo: 8, evaluation: 6 });
  });

  test("those longer than the context are named, left out and counted, and the run comes to its end, also the second time", async () => {
    const long = (set: string) =>
      `${JSON.stringify({ id: `${set}-long`, prompt: `${set} ${"long ".repeat(80)}`, checks: [{ id: "punctuation:no_comma" }] })}\n`;
    world.write({
      prompts: promptFile("long.jsonl", promptRows("train", 12) + long("train")),
      evaluation: {
        ...world.recipe.evaluation,
        prompts: promptFile("long-held-out.jsonl", promptRows("held-out", 6) + long("held-out")),
      },
    });
    const folder = runFolder(world, "long");
    const heard = hearing();
    await withRun({ folder, recipeFile: world.recipeFile, heard }, (made) => runStages(made, stageNames));
    world.write({});
    const told = heard.notices.join("\n");
    expect(told).toMatch(
      /qwen: 3 of 39 responses are missing \(the prompt has \d+ tokens, the context of .* 256\); prompts: train-long/,
    );
    expect(told).toMatch(/1 prompts left out: no scored response of any source/);
    expect(told).toMatch(/target: 2 of 14 responses are missing .*held-out-long/);
    expect(existsSync(runPaths(folder).report)).toBe(true);

    const again = hearing();
    await withRun({ folder, heard: again }, (made) => runStages(made, stageNames));
    expect(again.finished.map(([name]) => name)).toEqual(stageNames);
    expect(again.progress.filter(({ done }) => done > 0)).toEqual([]);
    expect((await amalgam(["run", folder])).code).toBe(0);
  });

  test("those that the target's chat template refuses are named, left out and counted, and the run comes to its end", async () => {
    const turns = [
      { role: "system", content: "Be kind." },
      { role: "user", content: "Say something." },
    ];
    const refused = Array.from({ length: 8 }, (_, k) => ({
      id: `system-${k}`,
      messages: [turns[0], { ...turns[1], content: `Say ${k}.` }],
      checks: [{ id: "punctuation:no_comma" }],
    }));
    const chat_template =
      "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system here') }}{% endif %}{{ m.content }}<|end|>{% endfor %}";
    world.write({
      target: { ...world.recipe.target, chat_template },
      prompts: promptFile(
        "system.jsonl",
        promptRows("train", 12) + refused.map((prompt) => `${JSON.stringify(prompt)}\n`).join(""),
      ),
    });
    const folder = runFolder(world, "refusing");
    const heard = hearing();
    const counts = await withRun({ folder, recipeFile: world.recipeFile, heard }, async (made) => {
      await runStages(made, stageNames);
      return (await made.ledger.stages.list()).find(({ name }) => name === "sft")!.counts;
    });
    world.write({});
    const told = heard.notices.join("\n");
    const why = "\\(the chat template refuses these messages: no system here\\)";
    expect(told).toMatch(new RegExp(`supervised tuning: \\d rows were left out ${why}: system-`));
    expect(told).toMatch(new RegExp(`target: \\d+ of \\d+ responses are missing ${why}; prompts: system-`));
    expect(counts.refused).toBeGreaterThan(0);
    expect(existsSync(runPaths(folder).report)).toBe(true);
  });

  test("rows that are longer than the training allows are named; when none fits, the error says what to change", async () => {
    const folder = runFolder(world, "short");
    const heard = hearing();
    const where = { folder, recipeFile: world.recipeFile, heard };
    await expect(
      withRun({ ...where, overrides: ["sft.max_length=20", "sft.max_prompt_length=10"] }, (made) =>
        runStages(made, stageNames),
      ),
    ).rejects.toMatchObject({ name: "TrainingError", hint: expect.stringContaining("Raise max_length") });
    expect(heard.notices.join("\n")).toMatch(
      /supervised tuning: 4 rows are longer than max_length \(20\) or max_prompt_length \(10\) and were left out: train-/,
    );
    expect(existsSync(runPaths(folder).sftModel)).toBe(false);
    const mended = hearing();
    await withRun({ ...where, heard: mended }, (made) => runStages(made, ["sample", "score", "select_sft", "sft"]));
    expect(mended.finished.map(([, skipped]) => skipped)).toEqual([true, true, true, false]);
  });

  test("prompts that lost their beginning are counted in the report", async () => {
    const folder = runFolder(world, "cut-prompts");
    const keeping = ["sft.overlong=keep_end", "sft.max_prompt_length=10"];
    const counts = await withRun({ folder, recipeFile: world.recipeFile, overrides: keeping }, async (made) => {
      await runStages(made, [...stageNames.slice(0, 4), "report"]);
      return (await made.ledger.stages.list()).find(({ name }) => name === "sft")!.counts;
    });
    expect(counts).toMatchObject({ dropped: 0, shortened: 4 });
    expect(readFileSync(runPaths(folder).report, "utf8")).toContain("dropped 0, shortened 4");
  });
});

describe.skipIf(!existsSync("/dev/full"))("a full disk", () => {
  test("is told when the recipe can't be written, and the run folder is free again", async () => {
    const folder = runFolder(world, "full");
    const full = `${runPaths(folder).recipe}.partial`;
    symlinkSync("/dev/full", full);
    expectComplaint(await run(folder), "the disk is full", "make room");
    unlinkSync(full);
    await withRun({ folder, recipeFile: world.recipeFile }, async () => {});
  });

  test("is told when it fills up in training, which goes on from there", async () => {
    const folder = runFolder(world, "filling");
    const metrics = runPaths(folder).metrics("sft");
    const upTo = stageNames.slice(0, 4);
    const where = { folder, recipeFile: world.recipeFile };
    await withRun(where, (made) => runStages(made, upTo.slice(0, 3)));
    mkdirSync(dirname(metrics));
    // The file of metrics takes its place by renaming, so that each line goes to the full disk.
    symlinkSync("/dev/full", `${metrics}.partial`);
    await expect(withRun(where, (made) => runStages(made, upTo))).rejects.toMatchObject({
      name: "EnvironmentError",
      message: "the disk is full",
    });
    expect((await runStatus(folder)).stages[3]).toMatchObject({ stage: "sft", state: "failed" });
    unlinkSync(metrics);
    await withRun(where, (made) => runStages(made, upTo));
    expect(jsonLines(metrics).map(({ step }) => step)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  });
});

describe("models", () => {
  test("one that can't be read is told with the recipe's fields that name it, and no stack trace; before anything is drawn", async () => {
    const folder = runFolder(world, "unread");
    const [first] = world.recipe.sources;
    const missing = join(world.folder, "nowhere");
    world.write({ target: { model: missing }, sources: [first!, { name: "lost", model: missing }] });
    expectComplaint(
      await run(folder),
      `there is no model "${missing}"`,
      "The recipe names it in target.model, sources.1.model.",
    );
    const cut = tinyFolder("qwen2");
    truncateSync(join(cut, "model.safetensors"), 5000);
    world.write({ sources: [first!, { name: "cut", model: cut }] });
    expectComplaint(await run(folder), "model.safetensors", "was cut short", "The recipe names it in sources.1.model.");
    const misfit = tinyFolder("qwen2");
    const config = join(misfit, "config.json");
    writeFileSync(config, readFileSync(config, "utf8").replace(/"vocab_size": \d+/, '"vocab_size": 400'));
    world.write({ sources: [first!, { name: "misfit", model: misfit }] });
    expectComplaint(
      await run(folder),
      "has shape [320, 32], config.json asks for [400, 32]",
      "The recipe names it in sources.1.model.",
    );
    const base = tinyFolder("llama");
    rmSync(join(base, "chat_template.jinja"));
    const settings = join(base, "tokenizer_config.json");
    const { chat_template: _, ...others } = JSON.parse(readFileSync(settings, "utf8")) as Record<string, unknown>;
    writeFileSync(settings, JSON.stringify(others));
    world.write({ target: { model: base } });
    expectComplaint(await run(folder), "has no chat template", "write a `chat_template`", "in target.model.");
    const armo = fileURLToPath(new URL("../rewards/fixtures/tiny-armorm", import.meta.url));
    world.write({ rewards: [{ kind: "model", name: "steps", model: armo, precision: "fp32", steps: {} }] });
    expectComplaint(await run(folder), /rewards\.0\.steps: .* gives one reward to a whole response/);
    world.write({ rewards: [{ kind: "model", name: "lost", model: missing, precision: "fp32" }] });
    expectComplaint(await run(folder), `there is no model "${missing}"`, "in rewards.0.model.");
    world.write({ sft: { ...world.recipe.sft, frozen: ["embed_token"] } });
    expectComplaint(
      await run(folder),
      "frozen.0: embed_token matches no weight",
      "The weights are model.embed_tokens.weight, model.layers.*.",
      "the recipe's sft.",
    );
    expect(await drawn(folder)).toEqual([]);
    world.write({});
    await withRun({ folder, recipeFile: world.recipeFile }, (made) => runStages(made, ["sample", "score"]));
    expect(await drawn(folder)).toEqual(["sources gemma 36", "sources llama 36", "sources qwen 36"]);
  });
});

describe("rewards", () => {
  const always = [{ id: "length_constraints:number_words", args: { relation: "less than", num_words: 1000 } }];
  const alike = promptRows("train", 12)
    .trimEnd()
    .split("\n")
    .map((row) => `${JSON.stringify({ ...(JSON.parse(row) as object), checks: always })}\n`)
    .join("");

  test("all equal: no quadruple, and an error that counts why; with finer checks the run goes on with the same responses", async () => {
    world.write({ prompts: promptFile("alike.jsonl", alike) });
    const folder = runFolder(world, "alike");
    expectComplaint(
      await run(folder),
      "no prompt gives a quadruple",
      "8 prompts: preferred and dispreferred response have the same reward",
    );
    const { stages } = await runStatus(folder);
    expect(stages.map(({ state }) => state)).toEqual([
      ...Array<string>(6).fill("done"),
      "failed",
      ...Array<string>(3).fill("waiting"),
    ]);
    expect(existsSync(runPaths(folder).quadruples)).toBe(false);
    expect(await drawn(folder)).toEqual([
      "sources gemma 36",
      "sources llama 36",
      "sources qwen 36",
      "target target 24",
    ]);

    world.write({});
    const heard = hearing();
    await withRun({ folder, recipeFile: world.recipeFile, heard }, (made) => runStages(made, stageNames));
    expect(heard.finished[0]).toEqual(["sample", true]);
    expect(jsonLines(runPaths(folder).quadruples).length).toBeGreaterThan(0);
  });

  test("prompts without checks, and no judge: an error that says so", async () => {
    const bare = alike.replaceAll(/"checks":\[.*\]/g, '"checks":[]');
    world.write({ prompts: promptFile("bare.jsonl", bare) });
    const folder = runFolder(world, "bare");
    expectComplaint(await run(folder), "could score no response at all", "the prompt has no checks");
    world.write({});
    expect(await drawn(folder)).toEqual(["sources gemma 36", "sources llama 36", "sources qwen 36"]);
  });
});

/** A process that holds a run folder until it is killed. */
function holding(folder: string): string {
  const store = new URL("../../dist/store/index.js", import.meta.url).href;
  return `
    import { openLedger } from ${JSON.stringify(store)};
    await openLedger(${JSON.stringify(folder)});
    console.log("held");
    setInterval(() => {}, 1000);
  `;
}

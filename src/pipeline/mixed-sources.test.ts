import type { ServerResponse } from "node:http";
import { afterAll, describe, expect, test } from "vitest";
import type { RecipeInput } from "../schema/index.ts";
import { completion, type Handler, type LocalServer, openAiError, sendJson } from "../sources/testing/local-server.ts";
import { serving } from "../sources/testing/serving.ts";
import { stageNames } from "./events.ts";
import { runPaths } from "./run.ts";
import { runStages } from "./stages.ts";
import { runStatus } from "./status.ts";
import { toldRun } from "./testing/child-run.ts";
import { hearing, jsonLines, runFolder, tinyWorld, withRun } from "./testing/tiny-world.ts";

const world = tinyWorld();
afterAll(() => world.remove());

const { serve } = serving();
let server: LocalServer | undefined;

const words = "a quiet morning, the rain on old stone and one more tea before it all begins again".split(" ");
const answerOf = (seed: number, choice: number) =>
  words.slice((seed + choice) % 9, 4 + ((seed + 3 * choice) % 12)).join(" ");

/** How many responses were given to each prompt. */
interface Given {
  readonly to: Map<string, number>;
  /** What is asked of the server may go wrong here: true when it has been answered. */
  fault: (prompt: string, answer: ServerResponse) => boolean | Promise<boolean>;
}

async function startServer(): Promise<Given> {
  const given: Given = { to: new Map(), fault: () => false };
  const handler: Handler = async ({ body }, answer) => {
    const prompt = body.messages.at(-1)!.content as string;
    if (await given.fault(prompt, answer)) return;
    const n = body.n ?? 1;
    given.to.set(prompt, (given.to.get(prompt) ?? 0) + n);
    sendJson(
      answer,
      200,
      completion(Array.from({ length: n }, (_, choice) => answerOf(body.seed ?? 0, choice) || "rain")),
    );
  };
  server = await serve(handler);
  return given;
}

const mixed = (
  endpoint: Partial<Extract<RecipeInput["sources"][number], { endpoint: unknown }>["endpoint"]> = {},
): RecipeInput["sources"] => [
  { name: "local", model: world.models.llama, precision: "fp32" },
  { name: "server", endpoint: { url: server!.url, model: "m", retries: 0, concurrency: 3, ...endpoint } },
];

const drawn = async (folder: string) =>
  Object.fromEntries((await runStatus(folder)).draws.map(({ source, done, failed }) => [source, [done, failed]]));

const refused = /\(train (3|8)\)/;

describe("a model and a server as sources", () => {
  test("what a server could not give is named, filled by the next run, and nothing is asked twice", async () => {
    const given = await startServer();
    given.fault = (prompt, answer) => {
      if (!refused.test(prompt)) return false;
      sendJson(answer, 500, openAiError("the model is overloaded"));
      return true;
    };
    world.write({ sources: mixed() });
    const folder = runFolder(world, "mixed");
    const where = { folder, recipeFile: world.recipeFile };

    const first = hearing();
    await withRun({ ...where, heard: first }, (run) => runStages(run, stageNames));
    expect(await drawn(folder)).toMatchObject({ local: [36, 0], server: [30, 6] });
    const notice = first.notices.find((line) => line.startsWith("server: 6 of 36 responses are missing"))!;
    expect(notice).toContain("the model is overloaded");
    expect(notice).toMatch(/train-3, train-8|train-8, train-3/);
    expect([...given.to.values()]).toEqual(Array(10).fill(3));
    const calls = server!.calls.length;

    // A server that is no better: only what is missing is asked for, and the run stands as it was.
    const second = hearing();
    await withRun({ folder, heard: second }, (run) => runStages(run, stageNames));
    expect(server!.calls.slice(calls).every(({ body }) => refused.test(body.messages.at(-1)!.content as string))).toBe(
      true,
    );
    expect(second.finished.filter(([name, skipped]) => !skipped && name !== "sample")).toEqual([]);
    expect(second.notices.join("\n")).toContain("server: 6 of 6 responses are missing");

    given.fault = () => false;
    const third = hearing();
    await withRun({ folder, heard: third }, (run) => runStages(run, stageNames));
    expect(await drawn(folder)).toMatchObject({ local: [36, 0], server: [36, 0] });
    expect(given.to.size).toBe(12);
    expect([...given.to.values()]).toEqual(Array(12).fill(3));
    expect(third.finished[1]).toEqual(["score", false]);

    const before = server!.calls.length;
    const fourth = hearing();
    await withRun({ folder, heard: fourth }, (run) => runStages(run, stageNames));
    expect(server!.calls.length).toBe(before);
    expect(fourth.finished).toEqual(stageNames.map((name) => [name, true]));

    const chosen = (await runStatus(folder)).selections.wrpo!.contributions.map(({ source }) => source);
    expect(chosen.sort()).toEqual(["local", "server"]);
    expect(jsonLines(runPaths(folder).quadruples).length).toBeGreaterThan(0);
  });

  test("a run that is killed pays again for no response that it had", async () => {
    const given = await startServer();
    given.fault = async () => {
      await new Promise((resolve) => setTimeout(resolve, 15));
      return false;
    };
    world.write({ sources: mixed({ concurrency: 1 }) });
    const folder = runFolder(world, "mixed-killed");
    for (const dieAt of ["progress sample server 9", "progress sample server 12", "started score"])
      expect((await toldRun(world.folder, [folder, world.recipeFile, dieAt])).signal).toBe("SIGKILL");
    expect(await drawn(folder)).toMatchObject({ local: [36, 0], server: [36, 0] });
    const total = [...given.to.values()].reduce((sum, count) => sum + count, 0);
    // At each of the two kills one call of three responses may have been under way.
    expect(total).toBeLessThanOrEqual(36 + 2 * 3 + 2 * 2);
  });

  test("two names for one server and model: each response is asked for once", async () => {
    const given = await startServer();
    const [local, remote] = mixed();
    world.write({ sources: [local!, remote!, { ...remote!, name: "server-again" }] });
    const folder = runFolder(world, "mixed-twice");
    await withRun({ folder, recipeFile: world.recipeFile }, (run) => runStages(run, ["sample"]));
    expect(await drawn(folder)).toMatchObject({ server: [36, 0], "server-again": [36, 0] });
    expect([...given.to.values()]).toEqual(Array(12).fill(3));
  });
});

test("a key is needed while the server's responses are, and no longer", async () => {
  const given = await startServer();
  world.write({ sources: mixed({ key_env: "AMALGAM_TEST_PEER_KEY" }) });
  const folder = runFolder(world, "mixed-key");
  const sample = () => withRun({ folder, recipeFile: world.recipeFile }, (run) => runStages(run, ["sample"]));
  await expect(sample()).rejects.toMatchObject({
    message: expect.stringContaining("AMALGAM_TEST_PEER_KEY is not set"),
    hint: expect.stringContaining("came up with the source server"),
  });
  expect(await drawn(folder)).toMatchObject({ local: [0, 0], server: [0, 0] });
  process.env.AMALGAM_TEST_PEER_KEY = "sk-test";
  try {
    await sample();
  } finally {
    delete process.env.AMALGAM_TEST_PEER_KEY;
  }
  const calls = server!.calls.length;
  await sample();
  expect([server!.calls.length, given.to.size]).toEqual([calls, 12]);
});

describe("a server that gives nothing", () => {
  test.each([
    ["refuses the key", 401, "key"],
    ["fails at every prompt", 500, "the model is overloaded"],
  ])("%s: an error says so, and what the model gave is kept", async (what, status, message) => {
    const given = await startServer();
    given.fault = (_, answer) => {
      sendJson(answer, status, openAiError(message));
      return true;
    };
    world.write({ sources: mixed() });
    const folder = runFolder(world, `mixed-${status}`);
    const error = await withRun({ folder, recipeFile: world.recipeFile }, (run) => runStages(run, stageNames)).then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    expect(error, what).toMatchObject({ name: "SourceError", message: expect.stringContaining(message) });
    expect((await runStatus(folder)).stages[0]).toMatchObject({ stage: "sample", state: "failed" });
    const [before] = (await drawn(folder)).local!;

    given.fault = () => false;
    const heard = hearing();
    await withRun({ folder, heard }, (run) => runStages(run, ["sample"]));
    expect(await drawn(folder)).toMatchObject({ local: [36, 0], server: [36, 0] });
    const local = heard.progress.filter(({ label }) => label === "local");
    expect(local.at(-1)?.total ?? 0).toBe(36 - before!);
  });
});

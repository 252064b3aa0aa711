import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { describeError, type RecipeInput } from "../schema/index.ts";
import { completion, type Handler, openAiError, sendJson } from "../sources/testing/local-server.ts";
import { serving } from "../sources/testing/serving.ts";
import { readLedger } from "../store/index.ts";
import { runPaths } from "./run.ts";
import { runStages } from "./stages.ts";
import { runStatus } from "./status.ts";
import { toldRun } from "./testing/child-run.ts";
import { hearing, jsonLines, promptRows, runFolder, tinyWorld, withRun } from "./testing/tiny-world.ts";

const world = tinyWorld();
afterAll(() => world.remove());
const { serve } = serving();

/** Answers whatever is asked, ten tokens each. */
const willing: Handler = ({ body }, answer) =>
  sendJson(answer, 200, completion(Array.from({ length: body.n ?? 1 }, (_, i) => `answer ${body.seed} ${i}`)));

const endpoint = (url: string, more: object = {}) => ({ url, model: "m", retries: 0, ...more });
const drawn = async (folder: string) =>
  Object.fromEntries((await runStatus(folder)).draws.map(({ source, done }) => [source, done]));
const sample = (name: string, sources: RecipeInput["sources"], more: Partial<RecipeInput> = {}) => {
  world.write({ sources, ...more });
  const folder = runFolder(world, name);
  const heard = hearing();
  return {
    folder,
    heard,
    run: (retry = false) =>
      withRun({ folder, recipeFile: world.recipeFile, heard }, (run) => runStages({ ...run, retry }, ["sample"])),
  };
};
const refusal = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => expect.fail("it went well"),
    (error: unknown) => describeError(error),
  );

describe("one bad source among good ones", () => {
  test("the others draw all they can; what is missing is named; the next call fills it", async () => {
    let dead = true;
    const good = await serve(async (call, answer, before) => {
      // The bad one is long given up when these come.
      await new Promise((resolve) => setTimeout(resolve, 30));
      return willing(call, answer, before);
    });
    const bad = await serve((call, answer, before) =>
      dead ? sendJson(answer, 401, openAiError("no")) : willing(call, answer, before),
    );
    const { folder, run } = sample("dead", [
      { name: "bad", endpoint: endpoint(bad.url) },
      { name: "good", endpoint: endpoint(good.url, { concurrency: 1 }) },
    ]);
    const said = await refusal(run());
    expect(said).toMatch(/does not accept calls without a key/);
    expect(said).toMatch(/Still missing: bad 36 of 36\. `amalgam sample --retry .*dead` asks for them/);
    expect(await drawn(folder)).toEqual({ bad: 0, good: 36 });
    const calls = good.calls.length;
    dead = false;
    await run(true);
    expect(await drawn(folder)).toEqual({ bad: 36, good: 36 });
    expect(good.calls).toHaveLength(calls);
  });

  test("--retry asks round after round while that brings some", async () => {
    // Each prompt fails twice before it is answered; one never is.
    const asked = new Map<string, number>();
    const server = await serve((call, answer, before) => {
      const prompt = call.body.messages.at(-1)!.content;
      const times = (asked.get(prompt) ?? 0) + 1;
      asked.set(prompt, times);
      const number = Number(/train (\d+)/.exec(prompt)![1]);
      if (number === 11 || (number > 5 && times <= 1) || (number > 8 && times <= 2))
        return sendJson(answer, 400, openAiError("not now"));
      return willing(call, answer, before);
    });
    const { folder, heard, run } = sample("rounds", [{ name: "s", endpoint: endpoint(server.url) }]);
    await run();
    expect(await drawn(folder)).toEqual({ s: 18 });
    expect(heard.notices.join("\n")).toMatch(/s: 18 of 36 responses are missing .*`amalgam sample --retry/);
    await run(true);
    expect(await drawn(folder)).toEqual({ s: 33 });
    expect(heard.notices.at(-1)).toMatch(/3 of 3 responses are missing/);
  });
});

describe("a budget", () => {
  const price = { input: 10, output: 100 };
  /** What 19 tokens of a prompt and 30 of three responses cost. */
  const each = (19 * price.input + 30 * price.output) / 1e6;

  test("is never crossed, and counted on when the run goes on", async () => {
    const server = await serve(willing);
    const sources = [{ name: "s", endpoint: endpoint(server.url, { price, concurrency: 2 }) }];
    const budget = { money: 20 * each };
    const { folder, heard, run } = sample("budget", sources, { budget: { money: 6.5 * each } });
    const spent = async () => {
      const ledger = await readLedger(folder);
      try {
        return (JSON.parse((await ledger.meta.get("spent"))!) as { money: number }).money;
      } finally {
        await ledger.close();
      }
    };
    const said = await refusal(run());
    expect(said).toMatch(/the budget is used up: .* in money/);
    expect(said).toMatch(/Still missing: s \d+ of 36/);
    const first = server.calls.length;
    // A call may cost more than it does: 24 tokens each of three responses, and a prompt of a token a byte.
    expect(await spent()).toBeCloseTo(first * each, 9);
    expect(await spent()).toBeLessThanOrEqual(6.5 * each);
    expect(first).toBeGreaterThanOrEqual(3);
    expect(heard.notices.at(-1)).toBe(
      `spent so far: ${19 * first} tokens of prompts and ${30 * first} of responses, ${(first * each).toFixed(4)} in money`,
    );
    expect(await refusal(run())).toMatch(/budget is used up/);
    expect(server.calls).toHaveLength(first);
    world.write({ sources, budget });
    await run();
    expect(await drawn(folder)).toEqual({ s: 36 });
    expect(server.calls).toHaveLength(12);
    expect(await spent()).toBeCloseTo(12 * each, 9);
  });

  test("is not crossed where the process is killed over its calls: these count as they may have cost", async () => {
    const server = await serve(async (call, answer, before) => {
      await new Promise((resolve) => setTimeout(resolve, 20));
      return willing(call, answer, before);
    });
    writeFileSync(join(world.folder, "many.jsonl"), promptRows("budget", 240));
    const tokens = 10_000;
    const more = { prompts: { file: "many.jsonl" }, budget: { tokens } };
    const { folder, heard, run } = sample(
      "killed",
      [{ name: "s", endpoint: endpoint(server.url, { concurrency: 4 }) }],
      more,
    );
    for (let kills = 0; kills < 3; kills += 1) {
      const { signal, text } = await toldRun(
        world.folder,
        [folder, world.recipeFile, "finished sample"],
        (line, child) => {
          if (Number(/^progress sample s (\d+)/.exec(line)?.[1]) >= 30) child.kill("SIGKILL");
        },
      );
      expect(signal, text).toBe("SIGKILL");
      expect(text).not.toContain("finished sample");
    }
    expect(await refusal(run())).toMatch(/budget is used up/);
    // Each call came to 19 tokens of a prompt and 30 of three responses, whether its answer was stored or lost.
    expect(server.calls.length * 49).toBeLessThanOrEqual(tokens);
    expect(heard.notices.join("\n")).toMatch(/counted as spent, as a process was killed over these calls: \d+ tokens/);
    expect((await drawn(folder)).s).toBeGreaterThan(90);
    expect((await drawn(folder)).s! / 3).toBeLessThan(server.calls.length);
    // What was done in order counts no more than it cost.
    world.write({ sources: [{ name: "s", endpoint: endpoint(server.url) }], ...more, budget: { tokens: 100_000 } });
    const again = hearing();
    await withRun({ folder, recipeFile: world.recipeFile, heard: again }, (it) => runStages(it, ["sample"]));
    expect(again.notices.join("\n")).not.toContain("was killed");
    expect(await drawn(folder)).toEqual({ s: 720 });
  });

  test("in tokens; in money it wants prices", async () => {
    const server = await serve(willing);
    const sources = [{ name: "s", endpoint: endpoint(server.url, { concurrency: 4 }) }];
    const { folder, run } = sample("tokens", sources, { budget: { tokens: 500 } });
    expect(await refusal(run())).toMatch(/of 500 tokens/);
    expect(server.calls.length * 49).toBeLessThanOrEqual(500);
    expect(server.calls.length).toBeGreaterThan(1);
    expect((await drawn(folder)).s).toBe(3 * server.calls.length);
    const unpriced = sample("unpriced", sources, { budget: { money: 1 } });
    expect(await refusal(unpriced.run())).toMatch(/sources\.0\.endpoint\.price: the budget is in money/);
  });

  test("counts the judges, too; what was scored stays, and a raised one goes on", async () => {
    const logprobs = { content: [{ token: "4", logprob: -0.1, top_logprobs: [{ token: "4", logprob: -0.1 }] }] };
    const server = await serve((call, answer, before) =>
      call.body.logprobs === true
        ? sendJson(answer, 200, completion([{ content: "4", logprobs }], 1))
        : willing(call, answer, before),
    );
    const sources = [{ name: "s", endpoint: endpoint(server.url) }];
    const rewards = [{ kind: "judge" as const, name: "j", endpoint: endpoint(server.url, { price, concurrency: 2 }) }];
    const priced = [{ name: "s", endpoint: endpoint(server.url, { price }) }];
    const unpriced = sample("unpriced-judge", priced, {
      rewards: [{ ...rewards[0]!, endpoint: endpoint(server.url) }],
      budget: { money: 1 },
    });
    expect(await refusal(unpriced.run())).toMatch(/rewards\.0\.endpoint\.price: the budget is in money/);
    const { folder, heard, run } = sample("judged", sources, { rewards, budget: { tokens: 12 * 49 + 1500 } });
    const score = () => withRun({ folder, recipeFile: world.recipeFile, heard }, (it) => runStages(it, ["score"]));
    await run();
    const drawing = server.calls.length;
    const said = await refusal(score());
    expect(said).toMatch(
      /the budget is used up: .*\n.*This came up with judge j: \d+ of 36 responses have no score yet/,
    );
    const judged = server.calls.length - drawing;
    expect(judged).toBeGreaterThan(3);
    // 19 tokens of a prompt and one of a rating each.
    expect(heard.notices.at(-1)).toMatch(
      `${(drawing + judged) * 19} tokens of prompts and ${drawing * 30 + judged} of responses`,
    );
    expect(await refusal(score())).toMatch(/budget is used up/);
    expect(server.calls.length - drawing).toBe(judged);
    world.write({ sources, rewards, budget: { tokens: 100_000 } });
    await score();
    expect(server.calls.length - drawing).toBe(36);
  });
});

test("a source with a system message of its own; the prompts stay as they are", async () => {
  const server = await serve(willing);
  const { folder, run } = sample("system", [
    { name: "plain", endpoint: endpoint(server.url) },
    { name: "curt", endpoint: endpoint(server.url), system: "Answer in one word." },
  ]);
  await run();
  expect(await drawn(folder)).toEqual({ plain: 36, curt: 36 });
  const systems = server.calls.map(({ body }) => body.messages.map(({ role }) => role).join());
  expect(systems.filter((roles) => roles === "system,user")).toHaveLength(12);
  expect(systems.filter((roles) => roles === "user")).toHaveLength(12);
  const ledger = await readLedger(folder);
  for await (const { prompt } of ledger.responses.byPrompt("sources")) expect(prompt.messages).toHaveLength(1);
  await ledger.close();
});

test("recorded responses as a source, and what they lack", async () => {
  const rows = promptRows("train", 12)
    .trim()
    .split("\n")
    .flatMap((row, at) => {
      const { prompt } = JSON.parse(row) as { prompt: string };
      return Array.from({ length: at === 0 ? 2 : 3 }, (_, i) => `"${prompt}","recorded ${at} ${i}"`);
    });
  writeFileSync(join(world.folder, "recorded.csv"), ["question,answer", ...rows].join("\n"));
  const { folder, heard, run } = sample("recorded", [
    { name: "old", recorded: { file: "recorded.csv", fields: { prompt: "question", text: "answer" } } },
  ]);
  await run();
  expect(await drawn(folder)).toEqual({ old: 35 });
  expect(heard.notices.at(-1)).toMatch(/old: 1 of 36 responses are missing \(.*has no response 2 to prompt train-0/);
});

test("prompts that are left out are told and written down", async () => {
  const server = await serve(willing);
  const heldOut = JSON.parse(promptRows("held-out", 1)) as { prompt: string };
  writeFileSync(
    join(world.folder, "twice.csv"),
    [
      "q,kind",
      ...Array.from({ length: 8 }, (_, i) => `Say something of number ${i} and why ${"abcdefgh"[i]} matters,k${i % 2}`),
      `${heldOut.prompt},k0`,
      "Say something of number 0 and why a matters,k0",
    ].join("\n"),
  );
  const prompts = {
    file: "twice.csv",
    fields: { prompt: "q", domain: "kind" },
    duplicates: "drop",
    decontaminate: { ngram: 5 },
    sample: { size: 6, domains: "equal" },
  } as const;
  const { folder, heard, run } = sample("left-out", [{ name: "s", endpoint: endpoint(server.url) }], { prompts });
  await run();
  expect(await drawn(folder)).toEqual({ s: 18 });
  expect(heard.notices[0]).toBe(
    "6 prompts to train on; 1 that stand twice, 1 that share words with an evaluation set, 2 not in the sample are left out",
  );
  const reasons = jsonLines(runPaths(folder).leftOutPrompts).map(({ reason }) => reason);
  expect(reasons).toEqual(["duplicate", "contaminated", "not_sampled", "not_sampled"]);
});

import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openLedger, readLedger } from "../../store/index.ts";
import { silent } from "../events.ts";
import { hostileTexts, rewardIdentity, syntheticRun } from "../report/testing/synthetic-run.ts";
import { type InspectOptions, inspectTexts, inspectToPage } from "./index.ts";
import { gapOf, type Shown, winnerOf } from "./record.ts";
import { runRecords } from "./run-records.ts";
import { recordText } from "./text.ts";

const folder = mkdtempSync(join(tmpdir(), "inspect-"));
const run = join(folder, "run");
beforeAll(async () => {
  const ledger = await syntheticRun(run, "selected");
  await ledger.close();
});
afterAll(() => rmSync(folder, { recursive: true }));

type Asked = Partial<Omit<InspectOptions, "signal" | "listener">>;
const options = (asked: Asked): InspectOptions => ({
  path: run,
  kind: "run",
  filter: {},
  signal: new AbortController().signal,
  listener: silent,
  ...asked,
});
async function texts(asked: Asked): Promise<string[]> {
  const found: string[] = [];
  for await (const text of inspectTexts(options(asked))) found.push(text);
  return found;
}
const ids = (found: readonly string[]) => found.map((text) => /^== (\S+)/.exec(text)![1]!);
async function page(asked: Asked): Promise<string> {
  const file = join(folder, "page.html");
  await inspectToPage(options(asked), file);
  return readFileSync(file, "utf8");
}
const fileOf = (rows: readonly unknown[]) => {
  const file = join(folder, "rows.jsonl");
  writeFileSync(file, rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
  return { path: file, kind: "data" } as const;
};

describe("a run", () => {
  let records: Shown[] = [];
  beforeAll(async () => {
    const reader = await readLedger(run);
    records = [];
    for await (const record of runRecords(reader, rewardIdentity, await reader.prompts.list())) records.push(record);
    await reader.close();
  });

  test("shows every prompt with every response, the best reward first, and what the ledger chose", async () => {
    const reader = await readLedger(run);
    const selections = new Map((await reader.selections.list("wrpo")).map((one) => [one.promptId, one]));
    const scored = new Map<string, number>();
    for (const stage of ["sources", "target"])
      for await (const { responses } of reader.scores.byPrompt(stage, rewardIdentity))
        for (const { key, value } of responses) scored.set(key, value);
    await reader.close();
    expect(records).toHaveLength(180);
    let chosen = 0;
    for (const record of records) {
      const rewards = record.responses.map(({ reward }) => reward!);
      expect(rewards).toEqual([...rewards].sort((a, b) => b - a));
      const selection = selections.get(record.id);
      if (selection?.targetChosen === undefined) continue;
      chosen += 1;
      expect(record.responses).toHaveLength(20);
      expect(gapOf(record)).toBeCloseTo(scored.get(selection.targetChosen)! - scored.get(selection.rejected!)!, 9);
      const best = record.responses.find(({ roles }) => roles.includes("y_ws"))!;
      expect(best.reward).toBe(scored.get(selection.sourceChosen!));
      expect(winnerOf(record)).toBe(best.source);
    }
    expect(chosen).toBeGreaterThan(20);
  });

  test("filters keep just the prompts that they name", async () => {
    const kept = async (filter: InspectOptions["filter"]) => ids(await texts({ filter }));
    const those = (is: (record: Shown) => boolean) => records.filter(is).map(({ id }) => id);
    expect(await kept({ ids: ["wrpo-3", "sft-1"] })).toEqual(["sft-1", "wrpo-3"]);
    expect(await kept({ source: "gemma" })).toEqual(those((record) => winnerOf(record) === "gemma"));
    const gaps = await kept({ minGap: 0.35, maxGap: 0.6 });
    expect(gaps).toEqual(those((record) => (gapOf(record) ?? 0) >= 0.35 && gapOf(record)! <= 0.6));
    expect(gaps.length).toBeGreaterThan(5);
    const cut = await kept({ flag: "truncated" });
    expect(cut).toEqual(those(({ responses }) => responses.some(({ finish }) => finish === "length")));
    expect(await kept({ search: "SFT 1:" })).toEqual(["sft-1"]);
    expect(await kept({ domain: "none" })).toEqual([]);
  });

  test("a sample is the same for a seed, whether the lot is drawn before or after the responses are read", async () => {
    const drawn = async (seed: number, filter = {}) => ids(await texts({ sample: { size: 7, seed }, filter }));
    const first = await drawn(1);
    expect(first).toHaveLength(7);
    expect(await drawn(1)).toEqual(first);
    expect(await drawn(1, { search: "" })).toEqual(first);
    expect(await drawn(2)).not.toEqual(first);
    const all = records.map(({ id }) => id);
    expect(first).toEqual(all.filter((id) => first.includes(id)));
  });

  test("while another process writes it, and before anything was drawn", async () => {
    const going = join(folder, "going");
    const ledger = await openLedger(going);
    await ledger.prompts.replace([
      { id: "a", split: "wrpo", checks: [], messages: [{ role: "user", content: "Hello?" }] },
    ]);
    expect(await texts({ path: going })).toEqual([expect.stringContaining("No response yet.")]);
    const sampling = { temperature: 1, top_p: 1, top_k: 0, max_tokens: 9, stop: [], seed: 1 };
    await ledger.responses.declare("sources", [{ source: "one", identity: "1", sampling, n: 1, splits: ["wrpo"] }]);
    const response = { promptId: "a", index: 0, finish: "stop", promptTokens: 1, responseTokens: 1 } as const;
    await ledger.responses.add("sources", "one", [{ ...response, text: "Good day." }]);
    expect((await texts({ path: going }))[0]).toMatch(/-- 1\. one #0, no reward, 1 tokens\n {4}Good day\./);
    await ledger.close();
  });
});

test("what counts stands with its share, and the figures beside it on a line of their own", () => {
  const parts = [
    { name: "rm", value: 1.5, weight: 0.5 },
    { name: "brief", value: 1, weight: 0.5 },
    { name: "rm:gate:0", value: 0.25, weight: 0 },
  ];
  const response = { source: "one", index: 0, text: "t", reward: 1.25, parts, roles: [], flags: [] };
  const text = recordText({ id: "a", place: "line 1", messages: [], responses: [response] });
  expect(text).toContain("reward 1.250\n   rm 1.5 x 0.5, brief 1 x 0.5\n   beside: rm:gate:0 0.25\n    t");
});

describe("texts of anybody", () => {
  test("move no cursor of the terminal", async () => {
    const all = (await texts({})).join("\n");
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not be there.
    expect(all).not.toMatch(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]|\p{Surrogate}/u);
    expect(all).toContain("\\u{1b}[31mred");
    expect(all).toContain("\\u{202e}gnp.exe");
  });

  test("make no markup of the page: its own tags and script are all that there are", async () => {
    const hostile = [
      ...hostileTexts,
      `" onmouseover="alert(1)`,
      "</script><script>alert(1)</script>",
      "</div></article>",
    ];
    const rows = hostile.map((text, at) => ({
      prompt_id: `${at} ${text}`,
      domain: text || "d",
      prompt: `Q ${text}`,
      chosen: `A ${text}`,
      rejected: `B ${text}`,
    }));
    const given = await page(fileOf(rows));
    const plain = await page(
      fileOf(
        rows.map((row, at) => ({
          ...row,
          prompt_id: `${at}`,
          domain: `d${at}`,
          prompt: "Q",
          chosen: "A",
          rejected: "B",
        })),
      ),
    );
    const tags = (text: string) => [...text.matchAll(/<([a-z0-9]+)/g)].map(([, name]) => name!);
    const count = (text: string, name: string) => tags(text).filter((one) => one === name).length;
    expect([...new Set(tags(given))].sort()).toEqual([...new Set([...tags(plain), "p"])].sort());
    for (const name of ["script", "article", "details", "select", "form", "img"])
      expect([name, count(given, name)]).toEqual([name, count(plain, name)]);
    const unquoted = given.replace(/="[^"]*"/g, "");
    expect(/<[a-z][^>]*\s(?:on[a-z]+|src|href)\b/.test(unquoted)).toBe(false);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not be there.
    expect(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/.test(given)).toBe(false);
    const [, script] = /<script>([\s\S]*?)<\/script>/.exec(given)!;
    expect(given).toContain(`script-src 'sha256-${createHash("sha256").update(script!).digest("base64")}'`);
    expect(/url\(|https?:/.test(unquoted)).toBe(false);
  });
});

test("the page says what it leaves out", async () => {
  const whole = await page({});
  expect(whole.match(/<article/g)).toHaveLength(180);
  expect(whole).not.toContain("are not on this page");
  const some = await page({ limit: 50 });
  expect(some.match(/<article/g)).toHaveLength(50);
  expect(some).toContain("130 of 180 prompts that were asked for are not on this page");
});

describe("a file", () => {
  test("a pair has its diff, rewards and gap; rows that break the form are told", async () => {
    const told: string[] = [];
    const listener = { ...silent, notice: (line: string) => void told.push(line) };
    const given = fileOf([
      { prompt: "Q?", chosen: "The cat sat.", rejected: "The cat slept.", score_chosen: 3, score_rejected: 1 },
      { prompt: "no answer" },
    ]);
    const [found] = await texts({ ...given, ...{ listener } });
    expect(found).toContain("== rows.jsonl:1 (line 1, gap +2.000)");
    expect(found).toContain("The cat [-slept-]{+sat+}.");
    expect(told).toEqual([expect.stringContaining("1 rows break the form and are not shown; the first is line 2")]);
  });

  test("without rewards, or with what is no number in their place, shows none", async () => {
    const pair = { prompt: "Q?", chosen: "yes", rejected: "no" };
    const found = await texts(fileOf([pair, { ...pair, score_chosen: null, score_rejected: null }]));
    for (const text of found) expect(text.match(/-- \d\. .*|gap/g)).toEqual(["-- 1. <- chosen", "-- 2. <- rejected"]);
    expect((await page(fileOf([pair]))).split("<script>")[0]).not.toMatch(/NaN|no reward/);
  });

  test("of a data set's folder: all files of the split, each row with its file", async () => {
    const shards = join(folder, "shards");
    mkdirSync(shards);
    const rows = (name: string, ...prompts: string[]) =>
      writeFileSync(
        join(shards, name),
        prompts.map((prompt) => `${JSON.stringify({ prompt, chosen: "yes", rejected: "no" })}\n`).join(""),
      );
    rows("train-00000-of-00002.jsonl", "one", "two");
    rows("train-00001-of-00002.jsonl", "three");
    rows("test-00000-of-00001.jsonl", "four");
    const heads = async (split?: string) =>
      (await texts({ path: shards, kind: "data", split })).map((text) => /\((.*)\)/.exec(text)![1]);
    expect(await heads()).toEqual([
      "line 1 of train-00000-of-00002.jsonl",
      "line 2 of train-00000-of-00002.jsonl",
      "line 1 of train-00001-of-00002.jsonl",
    ]);
    expect(await heads("test")).toEqual(["line 1 of test-00000-of-00001.jsonl"]);
    await expect(heads("dev")).rejects.toThrow("the data set has no split dev");
  });

  test("UltraFeedback has all its completions, ranked", async () => {
    const completions = [3, 9, 5].map((overall_score, at) => ({ model: `m${at}`, response: `r${at}`, overall_score }));
    const [found] = await texts(fileOf([{ source: "flan", instruction: "Q?", completions }]));
    expect(found).toContain("domain flan, gap +6.000");
    expect(found!.match(/-- \d\. .*/g)).toEqual([
      "-- 1. m1, reward 9.000, <- chosen",
      "-- 2. m2, reward 5.000",
      "-- 3. m0, reward 3.000, <- rejected",
    ]);
  });
});

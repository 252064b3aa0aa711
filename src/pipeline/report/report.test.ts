import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeEach, describe, expect, test } from "vitest";
import { EnvironmentError, LedgerError } from "../../schema/index.ts";
import { type Ledger, readLedger } from "../../store/index.ts";
import { discard, scratchLedger } from "../../store/testing/scratch.ts";
import {
  gatherReport,
  type ReportData,
  type ReportExtra,
  reportHtml,
  reportText,
  thisMachine,
  writeReport,
} from "./index.ts";
import { hostileTexts, type Reached, recipe, rewardIdentity, syntheticRun } from "./testing/synthetic-run.ts";
import { readTrainingCurves } from "./training-curves.ts";

const extra: ReportExtra = {
  recipe,
  reward: rewardIdentity,
  versions: { Amalgam: "0.1.0", Node: "20" },
  machine: thisMachine(),
  identities: { target: "feedfacefeedfacefeedfacefeedface" },
};

interface Run {
  readonly folder: string;
  readonly ledger: Ledger;
  readonly data: ReportData;
}

/** Runs are made once, and only read by the tests. */
const runs = new Map<Reached, Promise<Run>>();

function runAt(reached: Reached): Promise<Run> {
  const make = async (): Promise<Run> => {
    const folder = mkdtempSync(join(tmpdir(), `report-${reached}-`));
    const ledger = await syntheticRun(folder, reached);
    return { folder, ledger, data: await gatherReport(ledger, folder, extra) };
  };
  const run = runs.get(reached) ?? make();
  runs.set(reached, run);
  return run;
}

afterAll(async () => {
  for (const run of runs.values()) {
    await discard((await run).ledger);
  }
});

/** The elements of a page; throws where one is not closed, or closed twice. */
function elementsOf(page: string): string[] {
  const empty = new Set(["meta", "br", "wbr"]);
  const names: string[] = [];
  const open: string[] = [];
  const styleless = page.replace(/<style>[\s\S]*?<\/style>/, "<style></style>").replace("<!doctype html>", "");
  for (const [tag, end, name] of styleless.matchAll(/<(\/?)([a-z][a-z0-9]*)[^>]*>|</gi)) {
    if (name === undefined) throw new Error(`a bare < in ${tag}`);
    if (end === "") {
      names.push(name);
      if (!tag.endsWith("/>") && !empty.has(name)) open.push(name);
    } else if (open.pop() !== name) throw new Error(`</${name}> closes nothing`);
  }
  if (open.length > 0) throw new Error(`${open.join(", ")} not closed`);
  return names;
}

const allowed = new Set(
  "html head meta title style body main header section h1 h2 h3 p div span strong b i ul li code pre br wbr table thead tbody tr th td figure figcaption details summary svg g rect line path circle text".split(
    " ",
  ),
);

describe.each<Reached>(["nothing", "sampled", "selected", "trained", "evaluated"])(
  "a run that has come to: %s",
  (reached) => {
    test("has a whole page, without a script or an address, and plain text", async () => {
      const { data } = await runAt(reached);
      expect(JSON.parse(JSON.stringify(data))).toEqual(data);
      const page = reportHtml(data);
      for (const name of elementsOf(page)) expect(allowed).toContain(name);
      expect(page).not.toMatch(/NaN|undefined|\[object|Infinity/);
      expect(page).not.toMatch(/\b(src|href|action|url)\s*[=(]|@import/i);
      const missing = [...page.matchAll(/class="yet">Not yet: ([^<]*)/g)].map(([, what]) => what);
      expect(missing.length > 0).toBe(reached !== "evaluated");
      expect(reportText(data).includes("not yet")).toBe(reached !== "evaluated");
    });
  },
);

describe("figures of a whole run", () => {
  test("contributions add up to the selected prompts, and both tables are on the page", async () => {
    const { selections, samples } = (await runAt("evaluated")).data;
    for (const [split, prompts] of [
      ["sft", 40],
      ["wrpo", 80],
    ] as const) {
      const { selected, contributions, leftOut } = selections[split]!;
      expect(contributions.map(({ source }) => source).sort()).toEqual(["gemma", "qwen-coder", "smollm"]);
      expect(contributions.reduce((sum, { chosen }) => sum + chosen, 0)).toBe(selected);
      expect(selected + leftOut.reduce((sum, line) => sum + line.prompts, 0)).toBe(prompts);
    }
    const { meanRewards } = selections.wrpo!;
    expect(meanRewards.targetChosen! - meanRewards.rejected!).toBeGreaterThan(0.3);
    expect(selections.sft!.meanRewards.rejected).toBeNull();
    const gemma = samples.find(({ source }) => source === "gemma")!;
    expect(gemma).toMatchObject({ stage: "sources", asked: 600, done: 598, failed: 2, scored: 598, label: null });
    for (const { rewards, scored } of samples) {
      expect(rewards!.counts.reduce((sum, count) => sum + count, 0)).toBe(scored);
    }
  });

  test("each sample's means and lengths are those of its responses", async () => {
    const { ledger, data } = await runAt("evaluated");
    const { samples } = data;
    const values: number[] = [];
    const tokens: number[] = [];
    for await (const { responses } of ledger.scores.byPrompt("evaluation/sft", rewardIdentity)) {
      for (const response of responses) {
        values.push(response.value);
        tokens.push(response.responseTokens);
      }
    }
    const mean = (list: readonly number[]) => list.reduce((sum, value) => sum + value, 0) / list.length;
    const sft = samples.find(({ label }) => label === "sft")!;
    expect(sft.meanReward).toBeCloseTo(mean(values), 12);
    expect(sft.meanTokens).toBeCloseTo(mean(tokens), 12);
    expect(samples.flatMap(({ label }) => label ?? [])).toEqual(["untuned", "sft", "wrpo"]);
    expect(samples.map(({ stage }) => stage).slice(0, 4)).toEqual(["sources", "sources", "sources", "target"]);
  });

  test("the first example of each kind is the extreme one; every part of the reward has its mean", async () => {
    const { ledger, data } = await runAt("evaluated");
    const { examples, parts } = data;
    const means = new Map<string, Record<string, number>>();
    const judged: number[] = [];
    for (const label of ["untuned", "wrpo"]) {
      for await (const { prompt, responses } of ledger.scores.byPrompt(`evaluation/${label}`, rewardIdentity)) {
        const mean = responses.reduce((sum, { value }) => sum + value, 0) / responses.length;
        means.set(prompt.id, { ...means.get(prompt.id), [label]: mean });
        if (label === "wrpo") judged.push(...responses.map((response) => response.parts[2]!.value));
      }
    }
    const differences = [...means].map(([id, { untuned, wrpo }]) => ({ id, difference: wrpo! - untuned! }));
    differences.sort((a, b) => b.difference - a.difference);
    expect(examples.map(({ kind }) => kind)).toEqual(["gained", "gained", "lost", "lost", "typical", "typical"]);
    expect(examples[0]!.promptId).toBe(differences[0]!.id);
    expect(examples[0]!.difference).toBeCloseTo(differences[0]!.difference, 12);
    expect(examples[2]!.promptId).toBe(differences.at(-1)!.id);
    expect(examples[4]!.difference).toBeCloseTo((differences[29]!.difference + differences[30]!.difference) / 2, 1);
    expect(parts.find(({ name }) => name === "judge")).toMatchObject({ prompts: 60 });
    const judge = judged.reduce((sum, value) => sum + value, 0) / judged.length;
    expect(parts.find(({ name }) => name === "judge")!.means.wrpo).toBeCloseTo(judge, 12);
  });

  test("the verdict stands at the top and says what the statistics allow", async () => {
    const { data } = await runAt("evaluated");
    const model = data.evaluation!.models.find(({ label }) => label === "wrpo")!;
    const page = reportHtml(data);
    expect(page.indexOf(model.verdict!.sentence)).toBeGreaterThan(0);
    expect(page.indexOf(model.verdict!.sentence)).toBeLessThan(page.indexOf("<h2>"));
    const none = structuredClone(data);
    const last = none.evaluation!.models.at(-1)!;
    last.verdict = { better: "none", sentence: "No significant difference." };
    expect(reportHtml(none)).toContain("No significant difference between the fused model and the untuned target");
    expect(reportHtml(none)).not.toContain("is better than the untuned target on");
    last.verdict = { better: "b", sentence: "Worse." };
    expect(reportText(none)).toContain("The fused model is worse than the untuned target");
    last.meanResponseTokens = 2 * none.evaluation!.models[0]!.meanResponseTokens!;
    expect(reportHtml(none)).toContain("2.00 times as long");
  });

  test("a second look at the folder through a reader gives the same", async () => {
    const { folder, data } = await runAt("evaluated");
    const reader = await readLedger(folder);
    expect({ ...(await gatherReport(reader, folder, extra)), madeAt: "" }).toEqual({ ...data, madeAt: "" });
    await reader.close();
  });

  test("scores of another reward are not mixed in", async () => {
    const { folder, ledger } = await runAt("evaluated");
    const other = await gatherReport(ledger, folder, { ...extra, reward: "another" });
    expect(other.samples.every(({ scored, rewards }) => scored === 0 && rewards === null)).toBe(true);
    expect(other.selections.wrpo!.selected).toBe(0);
    expect(() => elementsOf(reportHtml(other))).not.toThrow();
  });
});

describe("training curves", () => {
  test("a long training is averaged, a cut-off line is counted, NaN is no point", async () => {
    const { folder, data } = await runAt("trained");
    const { training } = data;
    expect(training.sft).toMatchObject({ steps: 450, stepsAPoint: 3, unreadable: 0 });
    const loss = training.sft!.curves.find(({ name }) => name === "loss")!;
    const rows = readFileSync(join(folder, "metrics", "sft.jsonl"), "utf8")
      .trim()
      .split("\n");
    const [a, b, c] = rows.slice(0, 3).map((row) => (JSON.parse(row) as { loss: number }).loss);
    expect(loss.points).toHaveLength(150);
    expect(loss.points[0]!.mean).toBeCloseTo((a! + b! + c!) / 3, 12);
    expect(loss.points[0]).toMatchObject({ step: 3, low: Math.min(a!, b!, c!), high: Math.max(a!, b!, c!) });
    expect(training.wrpo).toMatchObject({ steps: 40, stepsAPoint: 1, unreadable: 1 });

    const file = join(folder, "diverged.jsonl");
    writeFileSync(file, '{"step": 1, "loss": null, "grad_norm": 2}\n');
    expect(readTrainingCurves(file)!.curves.map(({ name }) => name)).toEqual(["grad_norm"]);
    expect(readTrainingCurves(join(folder, "nothing.jsonl"))).toBeNull();
  });
});

describe("hostile input", () => {
  test("texts of models change neither the page nor a terminal", async () => {
    const { data } = await runAt("evaluated");
    const [example] = data.examples;
    const response = (text: string) => ({
      ...example!.before,
      text,
      parts: [{ name: "<script>", value: 1, weight: 1 }],
    });
    const hostile: ReportData = {
      ...data,
      name: "<script>alert(1)</script>",
      examples: hostileTexts.map((text) => ({
        ...example!,
        promptId: text,
        messages: [{ role: "user", content: text }],
        before: response(text),
        after: response(`${text} again`),
      })),
    };
    const page = reportHtml(hostile);
    for (const name of elementsOf(page)) expect(allowed).toContain(name);
    expect(page).toContain("&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;");
    expect(page).toContain("10,010 more characters");
    expect(page).not.toMatch(/[^\P{Cc}\n\t]|\u202e/u);
    expect(page.isWellFormed()).toBe(true);
    for (const text of [page, reportText(hostile)]) expect(text).not.toContain("\u001b");
  });

  test("credentials in addresses are not passed on", async () => {
    const page = reportHtml((await runAt("trained")).data);
    expect(page).toContain("gemma-3-270m at https://...@example.org/v1?...");
    expect(page).toContain("url: https://...@example.org/v1?...");
    expect(page).not.toContain("secret");
  });
});

describe("writing", () => {
  let folder: string;
  let ledger: Ledger;
  beforeEach(async () => {
    ledger = await scratchLedger();
    folder = ledger.folder;
  });
  afterEach(() => discard(ledger));

  test("the page replaces the one before; its file is named", async () => {
    writeFileSync(join(folder, "report.html"), "old");
    expect(await writeReport(ledger, folder, extra)).toBe(join(folder, "report.html"));
    expect(readFileSync(join(folder, "report.html"), "utf8")).toContain("No verdict yet.");
  });

  test("a page that can't be written is told plainly", async () => {
    mkdirSync(join(folder, "report.html", "in-the-way"), { recursive: true });
    await expect(writeReport(ledger, folder, extra)).rejects.toThrow(EnvironmentError);
  });

  test("of several comparisons the one asked for is shown, else the latest; one of another form is refused", async () => {
    const { evaluation } = (await runAt("evaluated")).data;
    await ledger.evaluations.set("comparison", "mine", evaluation);
    expect((await gatherReport(ledger, folder, extra)).evaluation).toEqual(evaluation);
    await ledger.evaluations.set("comparison", "damaged", { models: 3 });
    await expect(gatherReport(ledger, folder, { ...extra, comparison: "damaged" })).rejects.toThrow(LedgerError);
    expect((await gatherReport(ledger, folder, { ...extra, comparison: "mine" })).evaluation).toEqual(evaluation);
    expect((await gatherReport(ledger, folder, { ...extra, comparison: "other" })).evaluation).toBeNull();
  });
});

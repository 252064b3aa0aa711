import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Reward, summarise } from "../../../evaluation/index.ts";
import { type PromptCandidates, selectBest, selectQuadruples } from "../../../preferences/index.ts";
import { type Recipe, recipeSchema, type SampleOutcome, type Sampling } from "../../../schema/index.ts";
import { type Ledger, openLedger, type ScoreOutcome, type Split, type StoredPrompt } from "../../../store/index.ts";

/** How far the synthetic run has come. */
export type Reached = "nothing" | "sampled" | "selected" | "trained" | "evaluated";

/** Texts that a page or a terminal could stumble over. */
export const hostileTexts = [
  `<script>alert("1")</script><img src=x onerror='alert(2)'> </style></title> &amp; \`\``,
  "half a pair: \ud800 and \udfff, whole: \u{1f600}",
  "controls: \u0000\u001b[31mred\u001b[0m\u0007 \u0085 turned: \u202egnp.exe\u202c end",
  `one line: ${"x".repeat(30_000)}`,
  "日本語の文章と絵文字 👩‍👩‍👧‍👦\n\n```python\nprint('<b>')\n```\n| a | b |\n\ttab",
  "",
];

export const rewardIdentity = "0123456789abcdef0123456789abcdef";
const sampling: Sampling = { temperature: 0.8, top_p: 0.95, top_k: 0, max_tokens: 64, stop: [], seed: 42 };
const quality = { smollm: 0.35, "qwen-coder": 0.5, gemma: 0.42, target: 0.35, untuned: 0.35, sft: 0.4, wrpo: 0.47 };

export const recipe: Recipe = recipeSchema.parse({
  name: "synthetic",
  prompts: { file: "prompts.jsonl" },
  target: { model: "package:smollm2-135m-instruct" },
  sources: [
    { name: "smollm", model: "package:smollm2-135m-instruct" },
    { name: "qwen-coder", model: "Qwen/Qwen2.5-Coder-0.5B-Instruct" },
    { name: "gemma", endpoint: { url: "https://user:secret@example.org/v1?key=secret", model: "gemma-3-270m" } },
  ],
  rewards: [
    { kind: "checks", weight: 2 },
    { kind: "judge", name: "judge", model: "package:judge" },
  ],
  evaluation: { prompts: { file: "held-out.jsonl" } },
});

/** Fills a run folder through the ledger's own interface, up to a point. The caller closes the ledger. */
export async function syntheticRun(folder: string, reached: Reached): Promise<Ledger> {
  const ledger = await openLedger(folder);
  const random = randomNumbers(1);
  const to = (...points: Reached[]) => points.includes(reached);
  if (to("nothing")) return ledger;

  await ledger.prompts.replace([...prompts("sft", 40), ...prompts("wrpo", 80), ...prompts("evaluation", 60)]);
  await ledger.stages.start("sample", "inputs", { total: 1800, done: 0 });
  await ledger.responses.declare(
    "sources",
    ["smollm", "qwen-coder", "gemma"].map((source) => drawOf(source, 5, ["sft", "wrpo"])),
  );
  for (const source of ["smollm", "qwen-coder", "gemma"] as const) await answer(ledger, "sources", source, random);
  await ledger.stages.progress("sample", { done: 1800, failed: 2 });
  await ledger.stages.finish("sample", { responses: 1798, failed: 2 });
  await score(ledger, "sources", random);
  if (to("sampled")) return ledger;

  await ledger.responses.declare("target", [drawOf("target", 5, ["wrpo"])]);
  await answer(ledger, "target", "target", random);
  await score(ledger, "target", random);
  await select(ledger);
  if (to("selected")) return ledger;

  mkdirSync(join(folder, "metrics"), { recursive: true });
  writeFileSync(join(folder, "metrics", "sft.jsonl"), metrics(450, random, false));
  writeFileSync(join(folder, "metrics", "wrpo.jsonl"), `${metrics(40, random, true)}{"step": 41, "lo`);
  writeFileSync(join(folder, "recipe.yaml"), "name: synthetic\nurl: https://user:secret@example.org/v1?key=secret\n");
  await ledger.stages.start("wrpo", "inputs", { total: 40, done: 0 });
  await ledger.stages.finish("wrpo", { rows: 76, overlong: 3, dropped: { unfinished: 1 } });
  if (to("trained")) return ledger;

  const models = ["untuned", "sft", "wrpo"] as const;
  for (const label of models) {
    await ledger.responses.declare(`evaluation/${label}`, [drawOf(label, 4, ["evaluation"])]);
    await answer(ledger, `evaluation/${label}`, label, random);
    await score(ledger, `evaluation/${label}`, random);
  }
  const summary = summarise(await Promise.all(models.map((label) => rewardsOf(ledger, label))), "untuned", {
    resamples: 2000,
    seed: 42,
  });
  await ledger.evaluations.set("comparison", "inputs", summary);
  return ledger;
}

const drawOf = (source: string, n: number, splits: Split[]) => ({
  source,
  identity: `of-${source}`,
  sampling,
  n,
  splits,
});

function prompts(split: Split, count: number): StoredPrompt[] {
  return Array.from({ length: count }, (_, index) => ({
    id: `${split}-${index}`,
    split,
    messages: [
      {
        role: "user",
        content: `${split} ${index}: Name three cities in one line. ${hostileTexts[index % 6]!.slice(0, 300)}`,
      },
    ],
    checks: [],
  }));
}

type Model = keyof typeof quality;

async function answer(ledger: Ledger, stage: string, source: Model, random: () => number): Promise<void> {
  const outcomes: SampleOutcome[] = [];
  for await (const { promptId, indices } of ledger.responses.missing(stage, source)) {
    const made = indices.map((index): SampleOutcome => {
      if (source === "gemma" && index === 0 && /^sft-[01]$/.test(promptId))
        return { promptId, index, failure: "a hang" };
      const hostile = hostileTexts[Math.floor(random() * 40)];
      const words = 5 + Math.floor(random() * 40);
      const text = hostile ?? `${source} says: ${"Lisbon, Nairobi and Kyoto are cities. ".repeat(words / 8 + 1)}`;
      const finish = random() < 0.04 ? "length" : "stop";
      return { promptId, index, text, finish, promptTokens: 20, responseTokens: finish === "length" ? 64 : words };
    });
    outcomes.push(...made);
  }
  await ledger.responses.add(stage, source, outcomes);
}

/** Three checks that pass as often as the source is good, and a judge. */
async function score(ledger: Ledger, stage: string, random: () => number): Promise<void> {
  const scores: ScoreOutcome[] = [];
  for await (const response of ledger.responses.byStage(stage)) {
    const good = quality[response.source as Model];
    const passed = () => (random() < good ? 1 : 0);
    const parts = [
      { name: "keywords:existence", value: passed(), weight: 1 / 3 },
      { name: "length_constraints:number_words", value: passed(), weight: 1 / 3 },
      { name: "judge", value: Math.min(1, good * (0.5 + random())), weight: 1 / 3 },
    ];
    const value = parts.reduce((sum, part) => sum + part.value * part.weight, 0);
    scores.push({ promptId: response.promptId, responseKey: response.key, reward: rewardIdentity, value, parts });
  }
  await ledger.scores.add(rewardIdentity, scores);
}

async function select(ledger: Ledger): Promise<void> {
  const candidates = new Map<string, { split: Split; candidates: PromptCandidates }>();
  for await (const { prompt, responses } of ledger.scores.byPrompt("sources", rewardIdentity)) {
    candidates.set(prompt.id, {
      split: prompt.split,
      candidates: { promptId: prompt.id, sources: responses, target: [] },
    });
  }
  for await (const { prompt, responses } of ledger.scores.byPrompt("target", rewardIdentity)) {
    const known = candidates.get(prompt.id)!;
    candidates.set(prompt.id, { ...known, candidates: { ...known.candidates, target: responses } });
  }
  const rule = { minGap: 0.3, unfinished: "keep" } as const;
  const of = (split: Split) =>
    [...candidates.values()].filter((one) => one.split === split).map((one) => one.candidates);
  const sft = await selectBest(of("sft"), rule);
  await ledger.selections.replace("sft", [
    ...sft.selected.map(({ promptId, sourceChosen }) => ({ promptId, sourceChosen: sourceChosen.key })),
    ...sft.leftOut,
  ]);
  const wrpo = await selectQuadruples(of("wrpo"), rule);
  await ledger.selections.replace("wrpo", [
    ...wrpo.selected.map(({ promptId, sourceChosen, targetChosen, rejected }) => {
      return { promptId, sourceChosen: sourceChosen.key, targetChosen: targetChosen.key, rejected: rejected.key };
    }),
    ...wrpo.leftOut,
  ]);
}

async function rewardsOf(ledger: Ledger, label: string) {
  const rewards: Reward[] = [];
  const responseTokens: number[] = [];
  let unfinished = 0;
  for await (const { prompt, responses } of ledger.scores.byPrompt(`evaluation/${label}`, rewardIdentity)) {
    for (const { value, responseTokens: tokens, finish } of responses) {
      rewards.push({ promptId: prompt.id, value });
      responseTokens.push(tokens);
      if (finish === "length") unfinished += 1;
    }
  }
  return { label, rewards, responseTokens, unfinished };
}

function metrics(steps: number, random: () => number, preference: boolean): string {
  const rows = Array.from({ length: steps }, (_, index) => {
    const done = index / steps;
    const noise = () => (random() - 0.5) / 5;
    return {
      step: index + 1,
      epoch: done,
      loss: (preference ? 0.69 : 2.1) * Math.exp(-done) + noise(),
      learning_rate: 7e-6 * Math.min(1, index / (steps / 10)) * (1 + Math.cos(Math.PI * done)),
      grad_norm: 1 + noise(),
      tokens_per_second: 900 + 200 * noise(),
      ...(preference
        ? {
            "rewards/source_chosen": -done * 0.1 + noise() / 10,
            "rewards/target_chosen": done * 0.2 + noise() / 10,
            "rewards/rejected": -done * 0.3 + noise() / 10,
            "rewards/margins": done * 0.5 + noise() / 10,
            "rewards/accuracies": Math.min(1, 0.5 + done / 2 + noise()),
            cur_alpha: done / 10,
          }
        : {}),
    };
  });
  return rows.map((row) => `${JSON.stringify(row)}\n`).join("");
}

/** Uniform numbers in [0, 1), the same every time (a 32-bit linear congruential generator, upper bits). */
function randomNumbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return (state >>> 8) / 2 ** 24;
  };
}

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { readModelFiles } from "../../models/index.ts";
import { ownData, pair, pairs, weightsDigest } from "../testing/own-data.ts";
import { hearing } from "../testing/tiny-world.ts";

const { folder, model, jsonl, own, metricsOf, remove } = ownData();
afterAll(remove);

const long = "word ".repeat(50_000);
/** Each is a line of a file with `pair` rows around it. */
const hostile = {
  empty: { prompt: "x", chosen: "", rejected: "l" },
  "the same": { prompt: "x", chosen: "w", rejected: "w" },
  "nothing but its end": { prompt: "x", chosen: "<|end|><|end|>", rejected: "l" },
  "half a surrogate": '{"prompt": "x", "chosen": "w\\ud800", "rejected": "l"}',
  "longer than": { prompt: "x", chosen: long, rejected: "l" },
  "no number": { prompt: "x", chosen: "w", rejected: "l", score_chosen: null, score_rejected: 1 },
  "template refuses": {
    prompt: [
      { role: "system", content: "s" },
      { role: "user", content: "x" },
    ],
    chosen: "w",
    rejected: "l",
  },
};
const lazily = ["nothing but its end", "longer than", "template refuses"];
const template =
  "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system here') }}{% endif %}<|turn|>{{ m.role }}\n{{ m.content }}<|end|>\n{% endfor %}{% if add_generation_prompt %}<|turn|>assistant\n{% endif %}";
const withTemplate = `chat_template=${JSON.stringify(template)}`;

describe("hostile rows", () => {
  test.each(["dpo", "simpo"])("are left out by %s, each counted with its place", async (objective) => {
    const rows = [...pairs(3), ...Object.values(hostile), pair(3), pair(3)];
    const file = jsonl(rows);
    const heard = hearing();
    // Batches of one: some of them have no row left.
    const more = ["batch_size=1", withTemplate];
    // The row whose prompt is a list is of another form than the first.
    const texts = jsonl(rows.filter((row) => row !== hostile["template refuses"]));
    await expect(own(`refused-${objective}`, { data: [file], objective, settings: more })).rejects.toThrow(
      "not of the file's format",
    );
    const report = await own(
      `hostile-${objective}`,
      { data: [texts, jsonl([hostile["template refuses"]])], objective, settings: more },
      heard,
    );
    expect(report.rows).toMatchObject({ read: 12, learnt: 5, repeated: 1 });
    for (const reason of Object.keys(hostile)) {
      const found = report.rows.leftOut.find((left) => left.reason.includes(reason));
      expect(found, reason).toMatchObject({ rows: 1, first: [expect.stringMatching(/jsonl:\d+$/)] });
      // Without a reference some are found only when their batch comes.
      const before = objective === "dpo" || !lazily.includes(reason);
      expect(heard.notices.some((notice) => notice.includes(reason))).toBe(before);
    }
    expect(metricsOf(`hostile-${objective}`)).toHaveLength(5);
    // Of these batches of one, those whose row was left out only when it came.
    expect(report.smallerSteps).toBe(objective === "dpo" ? 0 : 3);
    expect(metricsOf(`hostile-${objective}`).every(({ loss }) => Number.isFinite(loss))).toBe(true);
    expect(JSON.parse(readFileSync(join(folder, `hostile-${objective}`, "report.json"), "utf8")).rows).toEqual(
      report.rows,
    );
  });

  test.each(Object.entries(hostile))("%s is an error with file and line where the settings say so", async (_, row) => {
    const more = ["unusable=error", "overlong=error", withTemplate];
    const good =
      row === hostile["template refuses"] ? { ...pair(0), prompt: [{ role: "user", content: "x" }] } : pair(0);
    const file = jsonl([good, row]);
    await expect(own("strict", { data: [file], settings: more })).rejects.toMatchObject({
      code: "DATA",
      place: { file, line: 2 },
    });
  });

  test("of adapters, with a budget from the free memory, leaves them beside the merged model", async () => {
    const heard = hearing();
    const lora = ["lora={rank: 4, alpha: 8, dropout: 0.1}", "micro_batch_tokens=auto", "optimiser=lion", "keep_last=2"];
    const report = await own(
      "adapters",
      { data: [jsonl(pairs(6))], settings: [...lora, "checkpoint_every_steps=1"], profile: true },
      heard,
    );
    expect(heard.notices.join("\n")).toMatch(/micro_batch_tokens: auto is \d+/);
    expect(heard.notices.join("\n")).toMatch(/^where +calls +ms +share$/m);
    const trace = readFileSync(join(folder, "adapters", "profiles", "train.json"), "utf8");
    expect(JSON.parse(trace).traceEvents.some(({ name }: { name: string }) => name === "backward")).toBe(true);
    expect(readdirSync(join(report.model, "adapter")).sort()).toEqual([
      "adapter_config.json",
      "adapter_model.safetensors",
    ]);
    expect(weightsDigest(report.model)).not.toBe(weightsDigest(model));
    expect(existsSync(join(folder, "adapters", "checkpoints"))).toBe(true);
  });

  test("a prompt that fills the context loses its beginning, a response nothing", async () => {
    const rows = [pair(0), { ...pair(1), prompt: long }];
    const report = await own("shortened", { data: [jsonl(rows)], settings: ["overlong=keep_end"] });
    expect(report.rows).toMatchObject({ learnt: 2, shortened: 1, leftOut: [] });
    const [step] = metricsOf("shortened");
    const { tokenizer } = await readModelFiles(model, "tiny");
    const of = ({ chosen, rejected }: ReturnType<typeof pair>) =>
      tokenizer.encodeResponse(chosen).length + tokenizer.encodeResponse(rejected).length;
    const first = tokenizer.encodePrompt([{ role: "user", content: pair(0).prompt }]).length;
    const room = Math.min(150, 200 - tokenizer.encodeResponse(pair(1).chosen).length);
    expect(step!.tokens).toBe(first + of(pair(0)) + room + of(pair(1)));
  });

  test("one row is enough, and none is told", async () => {
    const heard = hearing();
    expect(await own("one", { data: [jsonl([pair(0)])] }, heard)).toMatchObject({ steps: 1, rows: { learnt: 1 } });
    // A single step is all warm-up by the default: who doesn't know would wonder.
    expect(heard.notices.some((line) => line.includes("nothing is learnt"))).toBe(true);
    const quiet = hearing();
    await own("one-learnt", { data: [jsonl([pair(0)])], settings: ["warmup_ratio=0"] }, quiet);
    expect(quiet.notices.some((line) => line.includes("nothing is learnt"))).toBe(false);
    await expect(own("none", { data: [jsonl([hostile["longer than"]])] })).rejects.toThrow("no row can be learnt from");
    await expect(own("none", { data: [jsonl([hostile.empty])] })).rejects.toThrow("no row can be learnt from");
  });
});

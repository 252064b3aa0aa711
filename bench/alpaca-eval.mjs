// AlpacaEval beside alpaca-eval 0.6.6 and its published leaderboard, on data of tatsu-lab/alpaca_eval that are not part of this project:
//   node bench/alpaca-eval.mjs --data FOLDER --python PYTHON [--models a,b] [--results FILE]
// FOLDER has leaderboard.csv (weighted_alpaca_eval_gpt4_turbo's), df_gamed.csv, alpaca_eval_clf.txt, baseline.json (gpt4_1106_preview's
// outputs), and results/MODEL/annotations.json with model_outputs.json. PYTHON has alpaca-eval; its scikit-learn decides on folds as
// its processor does.
// 1. published: the length-controlled rate of every model's published annotations, in both orders of folds.
// 2. round trip: models judged anew by a server that repeats the published log-probs; the files that come out, read by alpaca-eval.
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { evaluateSuite, leaderboard } from "../dist/pipeline/index.js";
import { options } from "./lib/options.mjs";

const asked = options({ data: "", python: "python3", models: "", results: "" }, process.argv.slice(2));
const at = (...parts) => join(asked.data, ...parts);
const gamed = at("df_gamed.csv");
const json = (file) => JSON.parse(readFileSync(file, "utf8"));

const [head, ...lines] = readFileSync(at("leaderboard.csv"), "utf8").trim().split("\n");
const names = head.split(",");
const board = new Map(
  lines.map((line) => {
    const cells = line.split(",");
    return [cells[0], Object.fromEntries(names.map((name, k) => [name, Number(cells[k])]))];
  }),
);
const models = readdirSync(at("results")).filter((model) => board.get(model)?.length_controlled_winrate > 0);

const published = [];
for (const model of models) {
  const file = at("results", model, "annotations.json");
  const started = performance.now();
  const rows = await Promise.all(["scalar", "avx512"].map((order) => leaderboard([file], gamed, order)));
  const [scalar, avx512] = rows.map(([row]) => row);
  const wanted = board.get(model);
  const off = (row) => Math.abs(row.length_controlled_winrate - wanted.length_controlled_winrate);
  published.push({
    model,
    n: scalar.n_total,
    published: wanted.length_controlled_winrate,
    scalar: off(scalar),
    avx512: off(avx512),
    winRate: Math.abs(scalar.win_rate - wanted.win_rate),
    seconds: (performance.now() - started) / 2000,
  });
}
const most = (values) => Math.max(...values);
const close = (key) => published.filter((row) => row[key] < 1e-6).length;
const neither = published.filter(({ scalar, avx512 }) => Math.min(scalar, avx512) >= 1e-6);
console.log(`${published.length} models: win rates within ${most(published.map(({ winRate }) => winRate))}`);
console.log(
  `LC within ${most(published.map(({ scalar }) => scalar))} (scalar), 1e-6: ${close("scalar")} scalar, ${close("avx512")} AVX-512`,
);
console.log(
  `neither: ${neither.map(({ model, scalar, avx512 }) => `${model} ${scalar} ${avx512}`).join(", ") || "none"}`,
);

const chosen = asked.models === "" ? [] : asked.models.split(",");
const trip = chosen.length === 0 ? undefined : await roundTrip(chosen);
if (asked.results !== "") {
  mkdirSync(dirname(asked.results), { recursive: true });
  writeFileSync(asked.results, `${JSON.stringify({ published, roundTrip: trip }, null, 1)}\n`);
}

async function roundTrip(chosen) {
  const folder = mkdtempSync(join(tmpdir(), "alpaca-eval-"));
  /** By the last message: the published log-probs of the judge. */
  const said = new Map();
  const template = readFileSync(at("alpaca_eval_clf.txt"), "utf8");
  const user = /<\|im_start\|>user\n(.*)<\|im_end\|>/s.exec(template)[1].trim();
  const shown = (instruction, first, second) =>
    user.replace(
      /\{(instruction|output_[12])\}/g,
      (_, name) => ({ instruction, output_1: first, output_2: second })[name],
    );
  for (const model of chosen)
    for (const row of json(at("results", model, "annotations.json"))) {
      const content = row.raw_completion?.logprobs.content;
      // Both orders: which of them is asked for is what is tried.
      for (const pair of [
        [row.output_1, row.output_2],
        [row.output_2, row.output_1],
      ])
        said.set(shown(row.instruction, ...pair), content);
    }
  let calls = 0;
  const server = createServer(async (given, answer) => {
    const parts = [];
    for await (const part of given) parts.push(part);
    const { messages } = JSON.parse(Buffer.concat(parts).toString());
    calls += 1;
    const content = said.get(messages.at(-1).content);
    const choice = {
      index: 0,
      message: { role: "assistant", content: content?.[0].token ?? "?" },
      finish_reason: "length",
      logprobs: { content },
    };
    answer.writeHead(content === undefined ? 400 : 200, { "content-type": "application/json" });
    answer.end(JSON.stringify({ choices: [choice], usage: { prompt_tokens: 1, completion_tokens: 1 } }));
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${server.address().port}/v1`;
  const suite = join(folder, "suite.json.yaml");
  writeFileSync(
    suite,
    JSON.stringify({
      judge: { endpoint: { url, model: "gpt-4-1106-preview", concurrency: 8 } },
      models: chosen.map((name) => ({ name, outputs: { alpaca_eval: at("results", name, "model_outputs.json") } })),
      benchmarks: [{ kind: "alpaca_eval", questions: at("baseline.json"), gamed, prompt: at("alpaca_eval_clf.txt") }],
    }),
  );
  try {
    const {
      results: [result],
    } = await evaluateSuite({
      models: [],
      suite,
      folder: join(folder, "out"),
      signal: new AbortController().signal,
      listener: { progress() {}, notice: console.error },
    });
    const script = fileURLToPath(new URL("./peers/alpaca_eval_figures.py", import.meta.url));
    const output = execFileSync(
      asked.python,
      ["-P", script, join(folder, "out/alpaca_eval"), at("baseline.json"), gamed],
      {
        maxBuffer: 2 ** 26,
        env: { ...process.env, OPENAI_API_KEY: "none" },
        stdio: ["ignore", "pipe", "inherit"],
      },
    );
    const peer = JSON.parse(output.toString().trim().split("\n").at(-1));
    console.log(`round trip: official ${result.official}, ${calls} calls for ${chosen.length} models`);
    const rows = [];
    for (const { model, figures, failed, notes } of result.models) {
      const { alone, whole, reparsed } = peer.models[model];
      const off = (theirs) =>
        Math.max(
          ...Object.entries(figures).map(([key, { value }]) =>
            key.startsWith("length_") || !(key in theirs) ? 0 : Math.abs(value - theirs[key]),
          ),
        );
      const annotations = join(folder, "out/alpaca_eval", model, "annotations.json");
      const [{ length_controlled_winrate: vector }] = await leaderboard([annotations], gamed, "avx512");
      const scalar = figures.length_controlled_winrate.value;
      const wanted = board.get(model).length_controlled_winrate;
      const row = {
        model,
        failed,
        notes,
        // From annotations.json alone, and by its whole evaluation with model_outputs.json.
        off: Math.max(off(alone), off(whole)),
        lc: {
          scalar: Math.abs(scalar - alone.length_controlled_winrate),
          avx512: Math.abs(vector - alone.length_controlled_winrate),
        },
        lcOfPublished: { scalar: Math.abs(scalar - wanted), avx512: Math.abs(vector - wanted) },
        reparsed,
        leaderboard: Math.abs(peer.leaderboard[model].length_controlled_winrate - scalar),
      };
      console.log(JSON.stringify(row));
      rows.push(row);
    }
    return { official: result.official, calls, rows };
  } finally {
    server.close();
    server.closeAllConnections();
    if (existsSync(folder)) rmSync(folder, { recursive: true });
  }
}

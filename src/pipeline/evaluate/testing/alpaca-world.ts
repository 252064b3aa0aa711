import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { BenchmarkResult } from "../../../evaluation/index.ts";
import { packageFile } from "../../../schema/index.ts";
import { completion, type Handler, sendJson, type TestChoice } from "../../../sources/testing/local-server.ts";
import type { Listener } from "../../events.ts";
import { evaluateSuite } from "../index.ts";

export interface Row {
  readonly dataset?: string;
  readonly instruction: string;
  readonly output: string;
  readonly generator: string;
}
export interface Annotation {
  readonly instruction: string;
  readonly output_1: string;
  readonly output_2: string;
  readonly preference: number | null;
}

export const ownFile = packageFile("suites/data/alpaca-eval/questions.json");
export const own = JSON.parse(readFileSync(ownFile, "utf8")) as readonly Row[];

/** What the judge is shown: the texts of Amalgam's own prompt. */
const shown =
  /<request>\n(?<instruction>.*)\n<\/request>\n\n<answer name="m">\n(?<first>.*)\n<\/answer>\n\n<answer name="M">\n(?<second>.*)\n<\/answer>/s;
export const seen = (content: string) =>
  shown.exec(content)!.groups as { instruction: string; first: string; second: string };

export const answering = (top: Readonly<Record<string, number | null>>): TestChoice => {
  const tokens = Object.entries(top).map(([token, logprob]) => ({ token, logprob, bytes: null }));
  const [said] = tokens;
  return { content: said!.token, finish_reason: "length", logprobs: { content: [{ ...said!, top_logprobs: tokens }] } };
};

/** A judge that gives the longer output four fifths. */
export const preferLonger: Handler = ({ body }, answer) => {
  const { first, second } = seen(body.messages.at(-1)!.content);
  const [m, M] = first.length > second.length ? [0.8, 0.2] : [0.2, 0.8];
  sendJson(answer, 200, completion([answering({ M: Math.log(M! * 0.99), m: Math.log(m! * 0.99), The: -9 })], 1));
};

interface Settings {
  readonly judge: string;
  readonly models: readonly object[];
  readonly benchmark?: object;
  readonly output?: string;
  readonly signal?: AbortSignal;
}

/** A folder with files and evaluations by AlpacaEval. */
export function alpacaWorld() {
  const folder = mkdtempSync(join(tmpdir(), "amalgam-alpaca-eval-"));
  const quiet: Listener = { progress: () => {}, notice: () => {} } as unknown as Listener;
  let files = 0;
  const file = (content: unknown, ends = "json"): string => {
    files += 1;
    const path = join(folder, `file-${files}.${ends}`);
    writeFileSync(path, typeof content === "string" ? content : JSON.stringify(content));
    return path;
  };
  const read = <Value>(path: string): Value => JSON.parse(readFileSync(path, "utf8")) as Value;

  async function evaluate({ judge, models, benchmark = {}, output, signal }: Settings): Promise<BenchmarkResult> {
    const suite = file(
      {
        judge: { name: "small-judge", endpoint: { url: judge, model: "j", retries: 0, concurrency: 2 } },
        models,
        benchmarks: [{ kind: "alpaca_eval", questions: ownFile, ...benchmark }],
      },
      "yaml",
    );
    files += 1;
    const {
      results: [result],
    } = await evaluateSuite({
      models: [],
      suite,
      folder: output ?? join(folder, `evaluation-${files}`),
      signal: signal ?? new AbortController().signal,
      listener: quiet,
    });
    return result!;
  }

  const outputs = (rows: readonly object[], name = "other") => ({ name, outputs: { alpaca_eval: file(rows) } });
  /** A model whose every second output is longer than the baseline's, and the others shorter. */
  const rival = own.map(({ dataset, instruction, output }, at) => ({
    dataset,
    instruction,
    output: at % 2 === 0 ? `${output} 🙂` : output.slice(0, 20),
    generator: "rival",
  }));
  /** A new folder's path. */
  const newFolder = () => mkdtempSync(join(folder, "output-"));
  return { folder, newFolder, file, read, evaluate, outputs, rival, remove: () => rmSync(folder, { recursive: true }) };
}

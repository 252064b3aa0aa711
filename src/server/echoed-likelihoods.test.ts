import { mkdtempSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { disposeModel, loadFiles, readModelFiles } from "../models/index.ts";
import { tinyFolder } from "../models/testing/tiny-model.ts";
import { type Contestant, type Evaluation, type TaskRecipe, taskRuns } from "../pipeline/index.ts";
import { endpointSchema, SourceError } from "../schema/index.ts";
import { continuationLogProbs, encodePair, plainReading } from "../scoring/index.ts";
import { type Ledger, openLedger } from "../store/index.ts";
import { type TinyServer, testKey, tinyServer } from "./testing/tiny-server.ts";

const shipped = fileURLToPath(new URL("../../suites/data/tasks", import.meta.url));
const silent = { stageStarted() {}, stageFinished() {}, progress() {}, notice() {} };
let server: TinyServer;
let ledger: Ledger;

beforeAll(async () => {
  process.env.AMALGAM_TASK_TEST_KEY = testKey;
  server = await tinyServer(["llama"]);
  ledger = await openLedger(mkdtempSync(join(process.env.AMALGAM_TEST_SCRATCH ?? tmpdir(), "echo-")));
});
afterAll(async () => {
  delete process.env.AMALGAM_TASK_TEST_KEY;
  await server.close();
  await ledger.close();
});

const evaluation = (): Evaluation => ({
  ...{ folder: "", seed: 1, bootstrap: 100, ledger, listener: silent, signal: new AbortController().signal },
  account: undefined,
});
const recipe = (task: string): TaskRecipe => ({
  ...{ kind: "task", task, data: join(shipped, task), shots: 0, limit: 3, micro_batch_tokens: 512 },
});
function contestant(url: string, more = {}): Contestant {
  const endpoint = endpointSchema.parse({ url, model: "tiny-llama", retries: 0, ...more });
  const source = { name: "server", identity: url, embedded: false, open: () => Promise.reject(new Error("not asked")) };
  return { name: "server", answering: { name: "server", source, endpoint }, outputs: {} };
}

test("a server that gives prompts back tells the log-likelihoods that the model itself has", async () => {
  const asked = contestant(server.base, { key_env: "AMALGAM_TASK_TEST_KEY" });
  const files = await readModelFiles(tinyFolder("llama"), "tiny");
  const model = loadFiles(files, { precision: "fp32", device: "cpu" });
  const reading = plainReading(files);
  for (const task of ["winogrande", "hellaswag"]) {
    const [run] = await taskRuns(evaluation(), recipe(task), [asked]);
    expect(run!.failures).toEqual([]);
    const sets = run!.samples.map(({ prompt }) =>
      prompt.requests.map(({ context, continuation }) => encodePair(reading, context, continuation)),
    );
    for await (const { set, logProbs } of continuationLogProbs(model.decoder, sets, 512))
      for (const [k, value] of logProbs.entries())
        expect(Math.abs(value - (run!.samples[set]!.reply as number[])[k]!)).toBeLessThan(1e-3);
  }
  disposeModel(model);
});

/** A server whose completions are these. */
async function scripted(answer: unknown): Promise<Server & { base: string }> {
  const made = createServer((request, response) => {
    request.resume().on("end", () => {
      response.setHeader("content-type", "application/json");
      response.end(JSON.stringify(answer));
    });
  });
  await new Promise<void>((resolve) => made.listen(0, "127.0.0.1", resolve));
  return Object.assign(made, { base: `http://127.0.0.1:${(made.address() as AddressInfo).port}/v1` });
}

test.each([["does not give the prompt back", { choices: [{ text: " a", finish_reason: "stop" }] }]])(
  "a server that %s: the error names what can",
  async (words, answer) => {
    const made = await scripted(answer);
    const error = await taskRuns(evaluation(), recipe("winogrande"), [contestant(made.base)]).then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    made.close();
    expect(error).toBeInstanceOf(SourceError);
    expect((error as SourceError).message).toContain(words);
    expect((error as SourceError).hint).toMatch(/amalgam serve.*model:/);
  },
);

test("formats that tell no log-probs are refused at once", async () => {
  const asked = taskRuns(evaluation(), recipe("winogrande"), [
    contestant("http://127.0.0.1:9/v1", { format: "gemini" }),
  ]);
  await expect(asked).rejects.toThrow(/gemini tell no log-probs/);
});

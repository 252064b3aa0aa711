import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inflateSync } from "node:zlib";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import type { StepMetrics } from "../metrics.ts";
import { tensorBoardSink } from "./tensorboard.ts";
import { type WandbRun, wandbSink } from "./wandb.ts";
import { wandbHeader, wandbRecord } from "./wandb-file.ts";

/** Made by bench/fixtures/logging_truth.py with TensorBoard's writer and W&B's protocol buffers. */
const truth = JSON.parse(readFileSync(new URL("../fixtures/logging.json", import.meta.url), "utf8")) as {
  metrics: StepMetrics[];
  wallTime: number;
  tensorboard: { from1: string; from4: string };
  run: WandbRun;
  began: number;
  wandb: string;
  sizes: number[];
  log: string;
};
const bytes = (text: string) => Buffer.from(text, "base64");
const step = (number: number) => truth.metrics[number - 1]!;

const root = mkdtempSync(join(tmpdir(), "amalgam-logging-"));
afterAll(() => rmSync(root, { recursive: true }));
let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(root, "case-"));
});

describe("TensorBoard", () => {
  const now = () => truth.wallTime;
  const written = () =>
    readdirSync(folder)
      .sort()
      .map((name) => readFileSync(join(folder, name)));

  test("event files are those of TensorBoard's own writer; a training that goes on voids the steps that it does again", () => {
    const first = tensorBoardSink(folder, now);
    for (const number of [1, 2, 3]) first.write(step(number));
    first.close(false);
    const second = tensorBoardSink(folder, now);
    for (const number of [4, 5]) second.write(step(number));
    second.close(true);
    expect(readdirSync(folder).every((name) => name.startsWith("events.out.tfevents.1750000000."))).toBe(true);
    expect(written()).toEqual([bytes(truth.tensorboard.from1), bytes(truth.tensorboard.from4)]);
  });

  test("a training that begins anew takes the place of the earlier one, and of nothing else", () => {
    writeFileSync(join(folder, "mine.txt"), "");
    for (let round = 0; round < 2; round++) {
      const sink = tensorBoardSink(folder, now);
      for (const number of [1, 2, 3]) sink.write(step(number));
      sink.close(true);
    }
    expect(written()).toEqual([bytes(truth.tensorboard.from1), Buffer.alloc(0)]);
  });

  test("without a step nothing is written", () => {
    tensorBoardSink(join(folder, "none")).close(true);
    expect(readdirSync(folder)).toEqual([]);
  });
});

describe("Weights & Biases", () => {
  test("records are framed as the client's log frames them, at the ends of blocks too", () => {
    let log = wandbHeader;
    for (const size of truth.sizes) {
      const data = Uint8Array.from({ length: size }, (_, k) => (7 * k + size) % 251);
      log = Buffer.concat([log, wandbRecord(data, log.length)]);
    }
    expect(log.equals(inflateSync(bytes(truth.log)))).toBe(true);
  });

  const began = truth.began * 1000;
  /** A clock that stands at the beginning when it is asked first, five seconds later from then on. */
  const clock = () => {
    let asked = 0;
    return () => began + (asked++ === 0 ? 0 : 5000);
  };
  const run = () => readdirSync(folder).filter((name) => name.startsWith("offline-run-"));
  const file = () => readFileSync(join(folder, run()[0]!, `run-${truth.run.id}.wandb`));

  test("a run has the bytes that the client's protocol buffers give", () => {
    const sink = wandbSink(folder, { run: truth.run, earlier: () => [], now: clock() });
    for (const number of [1, 2, 3]) sink.write(step(number));
    sink.close(true);
    expect(run()[0]).toMatch(/^offline-run-\d{8}_\d{6}-0123456789ab$/);
    expect(file().equals(bytes(truth.wandb))).toBe(true);
  });

  test("a training that goes on continues its run with the steps that count, and only them", () => {
    const first = wandbSink(folder, { run: truth.run, earlier: () => [], now: clock() });
    for (const number of [1, 2, 3]) first.write(step(number));
    first.close(false);
    const mark = join(folder, run()[0]!, `run-${truth.run.id}.wandb.synced`);
    writeFileSync(mark, "");
    // Step 3 was not in the checkpoint.
    const second = wandbSink(folder, { run: truth.run, earlier: () => truth.metrics, now: () => began + 5000 });
    second.write(step(3));
    second.close(true);
    expect(run()).toHaveLength(1);
    expect(readdirSync(join(folder, run()[0]!)).sort()).toEqual(["files", "logs", `run-${truth.run.id}.wandb`]);
    // The times of earlier steps are counted from their seconds (2, then 4), figures as long as the clock's 5.
    expect(file().length).toBe(bytes(truth.wandb).length);
    expect(file().toString("latin1").match(/_step/g)).toHaveLength(2 * 3);
  });
});

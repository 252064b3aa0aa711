import { closeSync, mkdirSync, openSync, readdirSync, renameSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import type { StepMetrics } from "../metrics.ts";
import { type EncodedField, integerField, nestedField } from "./protobuf.ts";
import { type MetricsSink, plotted } from "./sink.ts";
import { wandbHeader, wandbRecord } from "./wandb-file.ts";

export interface WandbRun {
  readonly project: string;
  readonly entity?: string;
  readonly name: string;
  readonly group?: string;
  readonly tags?: readonly string[];
  /** The run's id: the same training has the same, so that one that goes on is one run. Letters and digits. */
  readonly id: string;
  /** Shown as the run's configuration. */
  readonly config: Readonly<Record<string, unknown>>;
}

export interface WandbOptions {
  readonly run: WandbRun;
  /** The metrics of earlier steps, which an earlier process wrote. */
  readonly earlier: () => readonly StepMetrics[];
  /** Milliseconds since 1970. */
  readonly now?: () => number;
}

// Fields of wandb's wandb_internal.proto.
const record = { num: 1, history: 2, summary: 3, run: 17, exit: 18, header: 21, info: 200 };
const header = { versionInfo: 1, producer: 1, minConsumer: 2 };
const runFields = { id: 1, entity: 2, project: 3, config: 4, group: 6, name: 8, tags: 10, startTime: 17, resume: 24 };
const item = { key: 1, nestedKey: 2, valueJson: 16 };
const update = 1;
const historyStep = 2;
const seconds = 1;
const exitRuntime = 2;

/**
 * Writes metrics as an offline run of Weights & Biases: a folder `offline-run-…` in `folder` that `wandb sync` uploads. A
 * training that goes on writes its run anew from the metrics of the earlier steps and continues it.
 */
export function wandbSink(folder: string, { run, earlier, now = Date.now }: WandbOptions): MetricsSink {
  let file: number | undefined;
  let offset = 0;
  let number = 0;
  let began = 0;

  function append(kind: number, fields: readonly EncodedField[]): void {
    number += 1;
    const info = nestedField(record.info, [nestedField(1, run.id)]);
    const bytes = wandbRecord(
      Buffer.concat([integerField(record.num, number), nestedField(kind, fields), info]),
      offset,
    );
    writeSync(file!, bytes);
    offset += bytes.length;
  }

  function history(metrics: StepMetrics, at: number): void {
    const values: [string, number][] = [
      ...plotted(metrics),
      ["_timestamp", at / 1000],
      ["_runtime", (at - began) / 1000],
      ["_step", metrics.step],
    ];
    const items = (field: number) =>
      values.map(([name, value]) =>
        nestedField(field, [nestedField(item.nestedKey, name), nestedField(item.valueJson, JSON.stringify(value))]),
      );
    append(record.summary, items(update));
    append(record.history, [...items(update), nestedField(historyStep, [integerField(1, metrics.step)])]);
  }

  function open(step: number): void {
    mkdirSync(folder, { recursive: true });
    const known = readdirSync(folder).find((name) => name.endsWith(`-${run.id}`) && name.startsWith("offline-run-"));
    const own = join(folder, known ?? `offline-run-${stamp(new Date(now()))}-${run.id}`);
    began = startOf(own);
    mkdirSync(join(own, "files"), { recursive: true });
    mkdirSync(join(own, "logs"), { recursive: true });
    const path = join(own, `run-${run.id}.wandb`);
    file = openSync(`${path}.partial`, "w");
    writeSync(file, wandbHeader);
    offset = wandbHeader.length;
    append(record.header, [
      nestedField(header.versionInfo, [
        nestedField(header.producer, "amalgam"),
        nestedField(header.minConsumer, "0.70.0"),
      ]),
    ]);
    append(record.run, runRecord(run, began));
    let at = began;
    for (const metrics of earlier()) {
      if (metrics.step >= step) break;
      at += (metrics.seconds ?? 0) * 1000;
      history(metrics, at);
    }
    renameSync(`${path}.partial`, path);
    // Marks of `wandb sync`: what it has of an earlier process is not all there is.
    for (const mark of ["synced", "syncstate"]) rmSync(`${path}.${mark}`, { force: true });
  }

  return {
    write(metrics) {
      if (file === undefined) open(metrics.step);
      history(metrics, now());
    },
    close(finished) {
      if (file === undefined) return;
      const runtime = Math.round((now() - began) / 1000);
      if (finished) append(record.exit, [integerField(exitRuntime, runtime)]);
      closeSync(file);
      file = undefined;
    },
  };
}

function runRecord({ id, entity, project, config, group, name, tags = [] }: WandbRun, began: number): EncodedField[] {
  const configItems = Object.entries(config).map(([key, value]) =>
    nestedField(update, [nestedField(item.key, key), nestedField(item.valueJson, JSON.stringify(value ?? null))]),
  );
  return [
    nestedField(runFields.id, id),
    ...(entity === undefined ? [] : [nestedField(runFields.entity, entity)]),
    nestedField(runFields.project, project),
    nestedField(runFields.config, configItems),
    ...(group === undefined ? [] : [nestedField(runFields.group, group)]),
    nestedField(runFields.name, name),
    ...tags.map((tag) => nestedField(runFields.tags, tag)),
    nestedField(runFields.startTime, [integerField(seconds, Math.floor(began / 1000))]),
    integerField(runFields.resume, 1),
  ];
}

const two = (value: number) => String(value).padStart(2, "0");

/** YYYYMMDD_HHMMSS, local time, as wandb names its folders. */
const stamp = (date: Date): string =>
  `${date.getFullYear()}${two(date.getMonth() + 1)}${two(date.getDate())}_${two(date.getHours())}${two(date.getMinutes())}${two(date.getSeconds())}`;

/** When the run of a folder began, by its name. */
function startOf(folder: string): number {
  const parts = /offline-run-(\d{4})(\d\d)(\d\d)_(\d\d)(\d\d)(\d\d)-[^-]*$/.exec(folder)!.slice(1).map(Number);
  const [year, month, day, hour, minute, second] = parts as [number, number, number, number, number, number];
  return new Date(year, month - 1, day, hour, minute, second).getTime();
}

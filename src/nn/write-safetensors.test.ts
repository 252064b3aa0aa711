import { mkdirSync, mkdtempSync, readdirSync, readFileSync, symlinkSync, unlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { EnvironmentError, ModelError } from "../schema/index.ts";
import { type DType, ops, tensor, toNumbers } from "../torch/index.ts";
import { openSafetensors, writeSafetensors, writeSafetensorsFile } from "./index.ts";

const everyType = join(import.meta.dirname, "fixtures/every-type.safetensors");
const freshFolder = () => mkdtempSync(join(tmpdir(), "safetensors-"));

test("the file is byte for byte the reference library's", () => {
  const file = join(freshFolder(), "again.safetensors");
  const { tensors } = openSafetensors(everyType);
  writeSafetensorsFile(file, new Map([...tensors].reverse()));
  expect(readFileSync(file).equals(readFileSync(everyType))).toBe(true);
});

test("views, strides and large tensors are written as what they show", () => {
  const file = join(freshFolder(), "views.safetensors");
  const large = ops.arange((16 << 20) / 8 + 3, { dtype: "int64" });
  const grid = tensor([1, 2, 3, 4, 5, 6], [2, 3]);
  grid.requiresGrad = true;
  const given = new Map([
    ["large", large],
    ["transposed", grid.t()],
    ["column", grid.select(1, 1)],
    ["wide", tensor([7]).expand([3])],
  ]);
  writeSafetensorsFile(file, given, { step: "3" });
  const { tensors, metadata } = openSafetensors(file);
  expect(tensors.get("large")?.equal(large)).toBe(true);
  expect(tensors.get("transposed")?.shape).toEqual([3, 2]);
  expect(toNumbers(tensors.get("transposed")!)).toEqual([1, 4, 2, 5, 3, 6]);
  expect(toNumbers(tensors.get("column")!)).toEqual([2, 5]);
  expect(toNumbers(tensors.get("wide")!)).toEqual([7, 7, 7]);
  expect(metadata).toEqual({ step: "3" });
});

test("a type or a name that the format lacks is refused before anything is written", () => {
  const folder = freshFolder();
  const file = join(folder, "x.safetensors");
  const complex = ops.zeros([1], { dtype: "complex128" as DType });
  expect(() => writeSafetensorsFile(file, new Map([["z", complex]]))).toThrow(ModelError);
  expect(() => writeSafetensorsFile(file, new Map([["__metadata__", tensor([1])]]))).toThrow(/this name/);
  expect(readdirSync(folder)).toEqual([]);
});

describe("a full disk", () => {
  test("is seen before writing, with the bytes needed; the earlier file survives", () => {
    const folder = freshFolder();
    const file = join(folder, "model.safetensors");
    writeFileSync(file, "earlier");
    // 4 PiB of one repeated byte.
    const huge = new Map([["huge", ops.zeros([1], { dtype: "uint8" }).expand([2 ** 52])]]);
    expect(() => writeSafetensorsFile(file, huge)).toThrow(EnvironmentError);
    expect(() => writeSafetensors(folder, huge)).toThrow(/disk is full: 45035996273\d+ bytes are needed, \d+ are free/);
    expect(readFileSync(file, "utf8")).toBe("earlier");
    expect(readdirSync(folder)).toEqual(["model.safetensors"]);
  });

  test.runIf(process.platform === "linux")("that fills up while writing leaves the earlier file, and no rest", () => {
    const folder = freshFolder();
    const file = join(folder, "model.safetensors");
    writeFileSync(file, "earlier");
    symlinkSync("/dev/full", `${file}.${process.pid}.partial`);
    expect(() => writeSafetensorsFile(file, new Map([["x", tensor([1])]]))).toThrow(
      /disk is full: \d+ bytes are needed/,
    );
    expect(readFileSync(file, "utf8")).toBe("earlier");
    expect(readdirSync(folder)).toEqual(["model.safetensors"]);
  });
});

test("a folder that is not there is an error of the environment", () => {
  const file = join(freshFolder(), "no", "x.safetensors");
  expect(() => writeSafetensorsFile(file, new Map([["x", tensor([1])]]))).toThrow(EnvironmentError);
});

describe("a folder", () => {
  const tensors = () => new Map(["a", "b", "c"].map((name, k) => [name, tensor([k, k + 1])]));

  test("takes one file up to the limit, and shards with an index beyond it", () => {
    const folder = freshFolder();
    writeSafetensors(folder, tensors(), 24);
    expect(readdirSync(folder)).toEqual(["model.safetensors"]);
    writeSafetensors(folder, tensors(), 16);
    expect(readdirSync(folder)).toEqual([
      "model-00001-of-00002.safetensors",
      "model-00002-of-00002.safetensors",
      "model.safetensors.index.json",
    ]);
    expect(JSON.parse(readFileSync(join(folder, "model.safetensors.index.json"), "utf8"))).toEqual({
      metadata: { total_size: 24 },
      weight_map: {
        a: "model-00001-of-00002.safetensors",
        b: "model-00001-of-00002.safetensors",
        c: "model-00002-of-00002.safetensors",
      },
    });
    const read = openSafetensors(folder).tensors;
    for (const [name, value] of tensors()) expect(read.get(name)?.equal(value)).toBe(true);
  });

  test("loses the weights of an earlier save, and nothing else", () => {
    const folder = freshFolder();
    mkdirSync(join(folder, "onnx"));
    for (const name of ["config.json", "adapter.safetensors"]) writeFileSync(join(folder, name), "kept");
    writeSafetensors(folder, tensors(), 8);
    writeSafetensors(folder, new Map([["z", tensor([1])]]));
    expect(readdirSync(folder)).toEqual(["adapter.safetensors", "config.json", "model.safetensors", "onnx"]);
    expect([...openSafetensors(folder).tensors.keys()]).toEqual(["z"]);
  });

  test("whose second shard fails keeps the earlier weights, and no rest of the first", () => {
    const folder = freshFolder();
    writeSafetensors(folder, new Map([["old", tensor([1])]]));
    const second = join(folder, `model-00002-of-00002.safetensors.${process.pid}.partial`);
    symlinkSync("/dev/full", second);
    const pair = new Map([
      ["a", tensor([1])],
      ["b", tensor([2])],
    ]);
    expect(() => writeSafetensors(folder, pair, 4)).toThrow(EnvironmentError);
    expect(readdirSync(folder)).toEqual(["model.safetensors"]);
    expect([...openSafetensors(folder).tensors.keys()]).toEqual(["old"]);
    expect(() => unlinkSync(second)).toThrow();
  });
});

import { copyFileSync, mkdirSync, mkdtempSync, renameSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { type AmalgamError, ModelError } from "../schema/index.ts";
import { scope, tensor, toArray, toNumbers } from "../torch/index.ts";
import { openSafetensors, readSafetensorsHeader, writeSafetensorsFile } from "./index.ts";

/** Written by the reference library: see bench/fixtures/nn_truth.py. */
const everyType = join(import.meta.dirname, "fixtures/every-type.safetensors");
const folder = mkdtempSync(join(tmpdir(), "safetensors-"));
let files = 0;

/** A file with this header text, these data bytes, and, unless told, the header's true length. */
function write(header: string | Buffer, data = 0, length?: bigint): string {
  const file = join(folder, `${files++}.safetensors`);
  const text = Buffer.from(header);
  const prefix = Buffer.alloc(8);
  prefix.writeBigUInt64LE(length ?? BigInt(text.length));
  writeFileSync(file, Buffer.concat([prefix, text, Buffer.alloc(data, 1)]));
  return file;
}

const entry = (dtype: string, shape: number[], begin: number, end: number) => ({
  dtype,
  shape,
  data_offsets: [begin, end],
});

function refusal(path: string): AmalgamError {
  try {
    openSafetensors(path);
  } catch (error) {
    if (error instanceof ModelError) return error;
    throw error;
  }
  throw new Error("the file was opened");
}

test("views give the same values after their pages left memory, and those beside them do", () => {
  const folder = mkdtempSync(join(tmpdir(), "release-"));
  const file = join(folder, "model.safetensors");
  const values = (start: number) => Array.from({ length: 5000 }, (_, k) => start + k);
  // Three bytes before the others: these lie across pages, and one is not aligned.
  const stored = new Map([
    ["a", tensor([1, 2, 3], [3], "uint8")],
    ["b", tensor(values(0), [5000], "float32")],
    ["c", tensor(values(9000), [5000], "float32")],
  ]);
  writeSafetensorsFile(file, stored);
  const { tensors, release } = openSafetensors(folder);
  for (const round of [1, 2])
    for (const [name, view] of tensors) {
      release(view);
      expect(toNumbers(view), `${name}, ${round}`).toEqual(toNumbers(stored.get(name)!));
    }
  rmSync(folder, { recursive: true });
});

describe("a file of the reference library", () => {
  const { tensors, metadata } = openSafetensors(everyType);

  test("gives every type its values", () => {
    const whole = Array.from({ length: 12 }, (_, k) => k);
    const eighths = whole.map((k) => (k - 5) / 8);
    for (const type of ["F64", "F32", "F16", "BF16"]) expect(toNumbers(tensors.get(`ramp.${type}`)!)).toEqual(eighths);
    for (const type of ["F8_E4M3", "F8_E5M2"])
      expect(toNumbers(tensors.get(`ramp.${type}`)!.to("float32"))).toEqual(eighths);
    for (const type of ["I64", "I32", "I16", "I8", "U8"])
      expect(toNumbers(tensors.get(`ramp.${type}`)!)).toEqual(whole);
    expect(toNumbers(tensors.get("ramp.BOOL")!)).toEqual(whole.map((k) => Math.min(k, 1)));
    expect(tensors.get("ramp.F32")?.shape).toEqual([3, 4]);
  });

  test("gives scalars, empty tensors, 64-bit integers, infinities and names in any script", () => {
    expect(tensors.get("scalar")?.item()).toBe(2.5);
    expect(tensors.get("scalar")?.shape).toEqual([]);
    expect(tensors.get("empty")?.shape).toEqual([0, 3]);
    expect(toArray(tensors.get("0")!)).toEqual(BigInt64Array.of(1n, 2n ** 53n + 1n));
    expect(toNumbers(tensors.get("névé 😀")!)).toEqual([1, Number.POSITIVE_INFINITY, -0]);
    expect(tensors.get('quote "\\')?.shape).toEqual([2]);
    expect(metadata).toEqual({ format: "pt" });
    expect(tensors.size).toBe(20);
  });

  test("is mapped: a change in place stays in this process, and outlives a file that is replaced", () => {
    const file = join(folder, "replaced.safetensors");
    copyFileSync(everyType, file);
    const scalar = scope(() => openSafetensors(file)).tensors.get("scalar")!;
    renameSync(write("{}"), file);
    expect(scalar.item()).toBe(2.5);
    scalar.add_(1);
    expect(scalar.item()).toBe(3.5);
    expect(openSafetensors(everyType).tensors.get("scalar")?.item()).toBe(2.5);
  });
});

test("tensors that are not aligned to their elements are read all the same", () => {
  const data = Buffer.alloc(1 + 8 + 4);
  data.writeDoubleLE(Math.PI, 1);
  data.writeFloatLE(1.5, 9);
  const text = JSON.stringify({ a: entry("U8", [1], 0, 1), b: entry("F64", [1], 1, 9), c: entry("F32", [], 9, 13) });
  const file = join(folder, "unaligned.safetensors");
  const prefix = Buffer.alloc(8);
  prefix.writeBigUInt64LE(BigInt(text.length));
  writeFileSync(file, Buffer.concat([prefix, Buffer.from(text), data]));
  const { tensors } = openSafetensors(file);
  expect(tensors.get("b")?.item()).toBe(Math.PI);
  expect(tensors.get("c")?.item()).toBe(1.5);
});

test("the header alone says where each tensor lies", () => {
  const header = readSafetensorsHeader(everyType);
  expect(header.tensors.get("ramp.BF16")).toMatchObject({ dtype: "bfloat16", shape: [3, 4], bytes: 24 });
  expect(header.fileBytes).toBe(1907);
});

const object = (value: unknown, data = 0) => write(JSON.stringify(value), data);
const two = (first: object, second: object, data: number) => object({ first, second }, data);

/** What is wrong, the file, the tensor that the error names, and what it says. */
const damage: [what: string, file: () => string, field: string | undefined, message: RegExp][] = [
  ["no file", () => join(folder, "nowhere.safetensors"), undefined, /no such file/],
  ["an empty file", () => join(folder, "empty"), undefined, /0 bytes/],
  ["a header beyond the file", () => write("{}", 0, 3n), undefined, /should have 3 bytes, the whole file has 10/],
  ["a header beyond 2^63", () => write("{}", 0, 2n ** 64n - 1n), undefined, /above the limit/],
  ["a header above the limit", () => write("{}", 0, 100_000_001n), undefined, /above the limit/],
  ["no JSON", () => write('{"a":', 8), undefined, /no JSON/],
  ["no UTF-8", () => write(Buffer.from([0x7b, 0xff, 0x7d])), undefined, /no JSON/],
  ["a JSON list", () => write("[]"), undefined, /no JSON object/],
  ["JSON null", () => write("null"), undefined, /no JSON object/],
  [
    "a key twice",
    () =>
      write(
        '{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"\\u0061":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}',
        2,
      ),
    "a",
    /twice/,
  ],
  [
    "a key twice inside an entry",
    () => write('{"a":{"dtype":"U8","shape":[2],"shape":[1],"data_offsets":[0,1]}}', 1),
    "shape",
    /twice/,
  ],
  ["an unknown type", () => object({ a: entry("F4", [2], 0, 1) }, 1), "a", /F4, which is not known/],
  ["a type named by a property", () => object({ a: entry("toString", [1], 0, 1) }, 1), "a", /not known/],
  ["an entry without shape", () => object({ a: { dtype: "U8", data_offsets: [0, 1] } }, 1), "a", /shape/],
  ["a field too many", () => object({ a: { ...entry("U8", [1], 0, 1), more: 1 } }, 1), "a", /wrong/],
  ["a negative size", () => object({ a: entry("U8", [-1], 0, 1) }, 1), "a", /shape/],
  ["a broken size", () => object({ a: entry("U8", [1.5], 0, 1) }, 1), "a", /shape/],
  ["sizes whose product overflows", () => object({ a: entry("U8", [2 ** 52, 2 ** 52], 0, 1) }, 1), "a", /needs/],
  ["a negative offset", () => object({ a: entry("U8", [1], -1, 0) }, 1), "a", /data_offsets/],
  ["offsets in reverse", () => object({ a: entry("U8", [1], 1, 0) }, 1), "a", /takes -1 bytes/],
  ["bytes that don't fit the shape", () => object({ a: entry("F32", [2], 0, 4) }, 4), "a", /takes 4 bytes.*needs 8/],
  ["an overlap", () => two(entry("U8", [2], 0, 2), entry("U8", [2], 1, 3), 3), "second", /overlaps/],
  ["a gap", () => two(entry("U8", [2], 0, 2), entry("U8", [2], 3, 5), 5), "second", /leaves a gap/],
  ["a gap at the start", () => object({ a: entry("U8", [1], 1, 2) }, 2), "a", /leaves a gap/],
  ["data beyond the end", () => object({ a: entry("U8", [4], 0, 4) }, 3), "a", /ends at byte \d+, the file has/],
  ["data that is nobody's", () => object({ a: entry("U8", [1], 0, 1) }, 2), undefined, /its tensors end at/],
  ["metadata that is no text", () => object({ __metadata__: { format: 1 } }), "__metadata__", /table of texts/],
  ["an entry that is a list", () => object({ a: [] }), "a", /wrong/],
];

test.each(damage)("%s is refused", (_, make, field, message) => {
  writeFileSync(join(folder, "empty"), "");
  const file = make();
  const error = refusal(file);
  expect(error.message).toMatch(message);
  expect(error.place).toEqual({ file, ...(field === undefined ? {} : { field }) });
});

test("wherever a file is cut short, it is refused", () => {
  const file = join(folder, "cut.safetensors");
  for (let size = 1906; size >= 0; size -= size > 1300 ? 100 : 61) {
    copyFileSync(everyType, file);
    truncateSync(file, size);
    expect(refusal(file).place.file, `${size} bytes`).toBe(file);
  }
});

describe("a folder of shards", () => {
  function shards(index: unknown): string {
    const path = join(folder, `shards-${files++}`);
    mkdirSync(path);
    for (const [k, name] of ["a", "b"].entries())
      renameSync(
        object({ [name]: entry("U8", [k + 1], 0, k + 1) }, k + 1),
        join(path, `model-0000${k + 1}-of-00002.safetensors`),
      );
    writeFileSync(
      join(path, "model.safetensors.index.json"),
      typeof index === "string" ? index : JSON.stringify(index),
    );
    return path;
  }
  const first = "model-00001-of-00002.safetensors";
  const second = "model-00002-of-00002.safetensors";

  test("is read through its index", () => {
    const { tensors, files: read } = openSafetensors(shards({ weight_map: { b: second, a: first } }));
    expect([...tensors].map(([name, tensor]) => [name, tensor.shape])).toEqual([
      ["b", [2]],
      ["a", [1]],
    ]);
    expect(read.map((file) => file.slice(-32))).toEqual([first, second]);
  });

  test.each([
    ["a shard is missing", { weight_map: { a: "model-00003-of-00003.safetensors" } }, undefined, /is missing/],
    ["a shard lacks a tensor", { weight_map: { a: second } }, "a", /lacks it/],
    ["a shard lies outside", { weight_map: { a: "../model.safetensors" } }, "weight_map.a", /without folders/],
    ["the index has no map", { metadata: {} }, "weight_map", /wrong/],
    ["the index is no JSON", '{"weight_map":', undefined, /no readable JSON/],
  ])("%s: refused, naming the index", (_, index, field, message) => {
    const path = shards(index);
    const error = refusal(path);
    expect(error.message).toMatch(message);
    expect(error.place).toEqual({
      file: join(path, "model.safetensors.index.json"),
      ...(field === undefined ? {} : { field }),
    });
  });

  test("without any weights is refused", () => {
    const path = join(folder, "bare");
    mkdirSync(path);
    expect(refusal(path).message).toMatch(/neither model.safetensors nor/);
  });
});

import { createHash } from "node:crypto";
import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { ModelError } from "../../schema/index.ts";
import { liveTensors, scope, toArray, toNumbers } from "../../torch/index.ts";
import { ggufFile } from "../testing/gguf-writer.ts";
import { testModel } from "../testing/test-model.ts";
import { dequantise } from "./dequantise.ts";
import type { GgufValue } from "./metadata.ts";
import { type Gguf, readGguf } from "./read.ts";
import { type TensorType, tensorTypes, typeId } from "./types.ts";

const fixture = (name: string): unknown =>
  JSON.parse(readFileSync(new URL(`./fixtures/${name}.json`, import.meta.url), "utf8"));
const blockFixtures = z
  .record(z.string(), z.object({ blocks: z.base64(), values: z.base64() }))
  .parse(fixture("dequantised"));
const realFixtures = z
  .record(
    z.string(),
    z.object({
      metadata: z.record(z.string(), z.unknown()),
      tensors: z.record(z.string(), z.tuple([z.string(), z.array(z.number()), z.string()])),
    }),
  )
  .parse(fixture("real"));

const folder = mkdtempSync(join(tmpdir(), "gguf-"));
afterAll(() => rmSync(folder, { recursive: true }));

const x = "x.weight";
const path = join(folder, "model.gguf");
function oneTensor(type: TensorType, data: Uint8Array, shape: number[], alignment = 32): Gguf {
  const metadata = [["general.alignment", "uint32", alignment]] as const;
  writeFileSync(path, ggufFile({ metadata, alignment, tensors: [{ name: x, type: typeId(type), shape, data }] }));
  return readGguf(path);
}

/** Index of the first element that differs in a bit; all NaN are alike. */
function firstDifference(found: Float32Array, wanted: Float32Array): number {
  const [a, b] = [found, wanted].map((x) => new Uint32Array(x.buffer, x.byteOffset, x.length)) as [
    Uint32Array,
    Uint32Array,
  ];
  expect(a.length).toBe(b.length);
  return a.findIndex((bits, i) => bits !== b[i] && !(Number.isNaN(found[i]!) && Number.isNaN(wanted[i]!)));
}

const float32 = (gguf: Gguf): Float32Array => scope(() => toArray(dequantise(gguf, x)) as Float32Array);

describe.each(Object.keys(blockFixtures) as TensorType[])("%s", (type) => {
  const bytes = Buffer.from(blockFixtures[type]!.blocks, "base64");
  const values = new Float32Array(new Uint8Array(Buffer.from(blockFixtures[type]!.values, "base64")).buffer);
  const { elements } = tensorTypes[type];

  test("random blocks and odd scales: the bits of gguf-py", () => {
    expect(values.some(Number.isNaN) && values.some(Number.isFinite)).toBe(true);
    const shape = [values.length / elements / 2, 2, elements];
    const gguf = oneTensor(type, bytes, shape);
    expect(scope(() => dequantise(gguf, x).shape)).toEqual(shape);
    expect(firstDifference(float32(gguf), values)).toBe(-1);
  });

  test("more than a chunk, and data on an odd byte", () => {
    const copies = Math.ceil(2_200_000 / values.length);
    const data = Buffer.concat(Array.from({ length: copies }, () => bytes));
    const gguf = oneTensor(type, data, [copies, values.length], 1);
    expect(gguf.tensors.get(x)!.offset % 2).toBe(1);
    const found = float32(gguf);
    for (let start = 0; start < found.length; start += values.length)
      expect(firstDifference(found.subarray(start, start + values.length), values)).toBe(-1);
  });

  test("other dtypes are float32, rounded", () => {
    const gguf = oneTensor(type, bytes, [values.length]);
    for (const dtype of ["bfloat16", "float16", "float64"] as const) {
      const [found, wanted] = scope(() => {
        const made = dequantise(gguf, x, dtype);
        expect(made.dtype).toBe(dtype);
        return [toNumbers(made), toNumbers(dequantise(gguf, x).to(dtype))];
      });
      expect(found).toEqual(wanted);
    }
  });
});

test("integers and float64 keep their values", () => {
  const cases = [
    ["I8", Int8Array.of(-128, 0, 127)],
    ["I16", Int16Array.of(-32_768, 0, 32_767)],
    ["I32", Int32Array.of(-(2 ** 31), 0, 2 ** 31 - 1)],
    ["I64", BigInt64Array.of(-(2n ** 53n), 0n, 2n ** 53n)],
    ["F64", Float64Array.of(-0.1, 0, 1e300)],
  ] as const;
  for (const [type, numbers] of cases) {
    const gguf = oneTensor(type, new Uint8Array(numbers.buffer), [3]);
    expect(scope(() => toNumbers(dequantise(gguf, x, "float64")))).toEqual(Array.from(numbers, Number));
  }
});

test("a scalar, and memory of its own", () => {
  const gguf = oneTensor("F32", new Uint8Array(Float32Array.of(2.5).buffer), []);
  scope(() => {
    const scalar = dequantise(gguf, x);
    expect(scalar.shape).toEqual([]);
    scalar.mul_(2);
    expect(dequantise(gguf, x).item()).toBe(2.5);
  });
  expect(readGguf(path).size).toBe(gguf.size);
});

test("nothing but the result stays alive", () => {
  const gguf = oneTensor("Q4_0", new Uint8Array(18 * 100_000), [100_000, 32]);
  scope(() => {
    const before = liveTensors();
    dequantise(gguf, x);
    expect(liveTensors()).toBe(before + 1);
  });
});

test("a name that is not there, a file that changed, a file that is gone", () => {
  const gguf = oneTensor("I8", new Uint8Array(3), [3]);
  expect(() => dequantise(gguf, "y")).toThrow(ModelError);
  appendFileSync(path, "more");
  expect(() => dequantise(gguf, x)).toThrow(/the file changed from \d+ to \d+ bytes/);
  rmSync(path);
  expect(() => dequantise(gguf, x)).toThrow(/the file is gone/);
});

const digest = (data: string | Uint8Array): string => createHash("sha256").update(data).digest("hex").slice(0, 16);

/** A value as bench/fixtures/gguf_truth.py writes it. */
function summary(value: GgufValue): unknown {
  if (typeof value !== "object") return value;
  const items = [...(value as Iterable<unknown>)];
  if (typeof items[0] === "string") return [items.length, digest(items.join("\n"))];
  return [items.length, digest(new Uint8Array(Float64Array.from(items, Number).buffer))];
}

describe.each(["smollm2", "qwen", "gemma"] as const)("%s", (name) => {
  const { metadata, tensors } = realFixtures[name]!;
  let gguf: Gguf;
  beforeAll(async () => {
    gguf = readGguf(await testModel(name));
  });

  test("metadata and tensor list are those of gguf-py", () => {
    expect(Object.fromEntries([...gguf.metadata].map(([key, value]) => [key, summary(value)]))).toEqual(metadata);
    const list = [...gguf.tensors.values()].map((tensor) => [tensor.name, tensor.type, tensor.shape]);
    expect(list).toEqual(Object.entries(tensors).map(([key, [type, shape]]) => [key, type, shape]));
  });

  test("every weight has the bits that gguf-py gives it", () => {
    const found = [...gguf.tensors.keys()].map((key) =>
      scope(() => [key, digest(new Uint8Array(dequantise(gguf, key).bytes()))]),
    );
    expect(found).toEqual(Object.entries(tensors).map(([key, [, , bits]]) => [key, bits]));
  }, 600_000);
});

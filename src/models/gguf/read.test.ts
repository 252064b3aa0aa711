import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { ModelError } from "../../schema/index.ts";
import { scope } from "../../torch/index.ts";
import { type GgufContents, type GgufValueType, ggufFile } from "../testing/gguf-writer.ts";
import { dequantise } from "./dequantise.ts";
import { readGguf } from "./read.ts";
import { typeId } from "./types.ts";

const folder = mkdtempSync(join(tmpdir(), "gguf-"));
afterAll(() => rmSync(folder, { recursive: true }));

const path = join(folder, "model.gguf");
const read = (bytes: Uint8Array) => {
  writeFileSync(path, bytes);
  return readGguf(path);
};

function failure(body: () => unknown): ModelError {
  try {
    body();
  } catch (error) {
    if (error instanceof ModelError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}

const values: readonly (readonly [key: string, type: GgufValueType, written: unknown, wanted?: unknown])[] = [
  ["uint8", "uint8", 255],
  ["int8", "int8", -128],
  ["uint16", "uint16", 65_535],
  ["int16", "int16", -32_768],
  ["uint32", "uint32", 4_294_967_295],
  ["int32", "int32", -2_147_483_648],
  ["float32", "float32", 0.1, Math.fround(0.1)],
  ["float64", "float64", 0.1],
  ["uint64", "uint64", 2 ** 53 - 1],
  ["uint64 unsafe", "uint64", 2n ** 64n - 1n],
  ["int64", "int64", -(2 ** 53) + 1],
  ["int64 unsafe", "int64", -(2n ** 63n)],
  ["true", "bool", true],
  ["false", "bool", false],
  ["string", "string", "naïve 🦙\0\n"],
  ["empty", "string", ""],
  ["bytes", ["uint8"], [0, 255], Uint8Array.of(0, 255)],
  ["signed bytes", ["int8"], [-1, 1], Int8Array.of(-1, 1)],
  ["uint16s", ["uint16"], [65_535], Uint16Array.of(65_535)],
  ["int16s", ["int16"], [-1], Int16Array.of(-1)],
  ["uint32s", ["uint32"], [4_294_967_295], Uint32Array.of(4_294_967_295)],
  ["int32s", ["int32"], [-7, 7], Int32Array.of(-7, 7)],
  ["float32s", ["float32"], [1.5, -2], Float32Array.of(1.5, -2)],
  ["float64s", ["float64"], [0.1], Float64Array.of(0.1)],
  ["int64s", ["int64"], [-5, 5], Float64Array.of(-5, 5)],
  ["int64s unsafe", ["int64"], [1n, -(2n ** 60n)], BigInt64Array.of(1n, -(2n ** 60n))],
  ["uint64s unsafe", ["uint64"], [1n, 2n ** 63n], BigUint64Array.of(1n, 2n ** 63n)],
  ["bools", ["bool"], [true, false]],
  ["strings", ["string"], ["a", "", "é"]],
  ["none", ["string"], []],
  ["nested", [["int32"]], [[1], [], [2, 3]], [Int32Array.of(1), Int32Array.of(), Int32Array.of(2, 3)]],
  ["three deep", [[["string"]]], [[["x"]]]],
];

const Q4_0 = typeId("Q4_0");
const F32 = typeId("F32");
const tensors = [
  { name: "a.weight", type: Q4_0, shape: [2, 32], data: Uint8Array.from({ length: 36 }, (_, i) => i) },
  { name: "b.bias", type: F32, shape: [3], data: new Uint8Array(Float32Array.of(1, 2, 3).buffer) },
];

describe("lawful files", () => {
  test("every type of value, in versions 2 and 3", () => {
    for (const version of [2, 3]) {
      const metadata = values.map(([key, type, written]) => [key, type, written] as const);
      const gguf = read(ggufFile({ version, metadata }));
      expect(gguf.version).toBe(version);
      expect([...gguf.metadata.keys()]).toEqual(values.map(([key]) => key));
      for (const [key, , written, wanted = written] of values) expect(gguf.metadata.get(key), key).toEqual(wanted);
    }
  });

  test("strings longer than the window, and one across its border", () => {
    const long = "é".repeat(700_000);
    const words = Array.from({ length: 90_000 }, (_, i) => `token ${i} ü`);
    const metadata = [
      ["long", "string", long],
      ["words", ["string"], words],
      ["numbers", ["int32"], words.map((_, i) => i)],
    ] as const;
    const gguf = read(ggufFile({ metadata }));
    expect(gguf.metadata.get("long")).toBe(long);
    expect(gguf.metadata.get("words")).toEqual(words);
    expect(gguf.metadata.get("numbers")).toEqual(Int32Array.from(words.keys()));
  });

  test("tensors: row-major shapes, offsets in the file, other alignments", () => {
    for (const alignment of [1, 32, 64]) {
      const metadata = [["general.alignment", "uint32", alignment]] as const;
      const bytes = ggufFile({ metadata, tensors, alignment });
      const gguf = read(bytes);
      expect(gguf.alignment).toBe(alignment);
      expect([...gguf.tensors.values()]).toMatchObject([
        { name: "a.weight", type: "Q4_0", shape: [2, 32], bytes: 36 },
        { name: "b.bias", type: "F32", shape: [3], bytes: 12 },
      ]);
      for (const { name, data } of tensors) {
        const { offset, bytes: length } = gguf.tensors.get(name)!;
        expect(offset % alignment).toBe(0);
        expect(new Uint8Array(bytes.subarray(offset, offset + length))).toEqual(new Uint8Array(data));
      }
    }
  });
});

const metadataOnly = (key: string, type: GgufValueType, value: unknown): GgufContents => ({
  metadata: [[key, type, value]],
  tensors,
});
const first = tensors[0]!;
const second = tensors[1]!;
const withTensor = (changed: Partial<NonNullable<GgufContents["tensors"]>[number]>): GgufContents => ({
  tensors: [first, { ...second, ...changed }],
});
const deep = (depth: number): GgufValueType => (depth === 0 ? "uint8" : [deep(depth - 1)]);
const deepValue = (depth: number): unknown => (depth === 0 ? 1 : [deepValue(depth - 1)]);

type Hostile = readonly [what: string, contents: GgufContents | Uint8Array, message: RegExp, field?: string];
const hostile: readonly Hostile[] = [
  ["nothing", new Uint8Array(), /ends within the first four bytes/],
  ["another format", { magic: "PK\u0003\u0004" }, /starts with "PK\\u0003\\u0004", not with GGUF \(at byte 0\)/],
  ["big-endian", { version: 0x03000000 }, /big-endian/],
  ["version 1", { version: 1 }, /version 1; versions 2 and 3/],
  ["version 0", { version: 0 }, /version 0; versions 2 and 3/],
  ["version 4", { version: 4 }, /version 4; versions 2 and 3/],
  ["too many entries", { entryCount: 2n ** 40n }, /number of metadata entries is 1099511627776, more than/],
  ["too many tensors", { tensorCount: 2n ** 64n - 1n }, /number of tensors is 18446744073709551615, more than/],
  ["one entry too many", { ...metadataOnly("a", "uint8", 1), entryCount: 2n }, /type|ends|length|more than/],
  ["a key twice", { metadata: [1, 2].map((x) => ["a", "uint8", x] as const) }, /key "a" stands there twice/],
  ["a boolean of 2", metadataOnly("a", "bool", 2), /a boolean is 2/, "a"],
  ["arrays in arrays in arrays", metadataOnly("a", deep(5), deepValue(5)), /more than 4 deep/, "a"],
  ["a long key", metadataOnly("k".repeat(70_000), "uint8", 1), /70000 bytes long, more than the 65535/],
  ["a split model", metadataOnly("split.count", "uint16", 3), /split over "3" files/, "split.count"],
  ["alignment 0", metadataOnly("general.alignment", "uint32", 0), /not a power of two/, "general.alignment"],
  ["alignment 48", metadataOnly("general.alignment", "uint32", 48), /"48", not a power of two/, "general.alignment"],
  ["alignment text", metadataOnly("general.alignment", "string", "32"), /not a power of two/, "general.alignment"],
  ["old blocks", metadataOnly("general.quantization_version", "uint32", 1), /"1"; only 2/],
  ["a tensor twice", { tensors: [first, first] }, /tensor "a\.weight" stands there twice/],
  ["unknown type", withTensor({ type: 99 }), /unknown type 99/, "b.bias"],
  ["a type not read", withTensor({ type: 16 }), /type IQ2_XXS, which Amalgam does not read/, "b.bias"],
  ["half a block", withTensor({ type: Q4_0, shape: [16] }), /rows of 16 elements.*blocks of 32/, "b.bias"],
  ["rows of half a block", withTensor({ type: Q4_0, shape: [2, 16] }), /rows of 16 elements/, "b.bias"],
  ["five dimensions", withTensor({ shape: [1, 1, 1, 1, 3] }), /5 dimensions, more than 4/, "b.bias"],
  ["a dimension of 0", withTensor({ shape: [0] }), /a dimension is 0/, "b.bias"],
  ["overflowing dimensions", withTensor({ shape: [2n ** 32n, 2n ** 32n, 3] }), /dimensions make \d+ elements/],
  ["negative dimension", withTensor({ shape: [2n ** 64n - 1n] }), /dimensions make \d+ elements/, "b.bias"],
  ["more data than file", withTensor({ shape: [4_000_000] }), /16000000 bytes at offset .* outside the file/],
  ["offset beyond", withTensor({ offset: 2n ** 63n }), /offset 9223372036854775808 .* outside the file/, "b.bias"],
  ["data past the end", withTensor({ offset: 128n }), /data ends at byte \d+, the file at/, "b.bias"],
  ["misaligned", withTensor({ offset: 68n }), /offset 68 is no multiple of the alignment 32/, "b.bias"],
  ["overlapping", withTensor({ offset: 32n }), /overlaps that of "a\.weight"/, "b.bias"],
];

describe("hostile files", () => {
  const cases = hostile.map(([what, contents, message, field]) => ({ what, contents, message, field }));
  test.each(cases)("$what", ({ contents, message, field }) => {
    const bytes = contents instanceof Uint8Array ? contents : ggufFile(contents);
    const error = failure(() => read(bytes));
    expect(error.message).toMatch(message);
    expect(error.message).toMatch(/\(at byte \d+\)$/);
    expect(error.hint).toMatch(/\w{3}/);
    expect(error.place.file).toBe(path);
    if (field) expect(error.place.field).toBe(field);
  });

  test("an unknown type is answered with the known ones", () => {
    expect(failure(() => read(ggufFile(withTensor({ type: 99 })))).hint).toMatch(/Q4_0.*Q6_K.*IQ4_NL/);
  });

  test("an endless string, an endless array, text that is not UTF-8, an unknown value type", () => {
    const bytes = Buffer.from(ggufFile(metadataOnly("key", "string", "value")));
    const at = bytes.indexOf("value");
    const patched = (change: (copy: Buffer) => void) => {
      const copy = Buffer.from(bytes);
      change(copy);
      return failure(() => read(copy));
    };
    expect(patched((copy) => copy.writeBigUInt64LE(2n ** 63n, at - 8)).message).toMatch(/length of the value is 9223/);
    expect(patched((copy) => copy.writeUInt8(0xff, at)).message).toMatch(/the value is not UTF-8 \(at byte \d+\)/);
    expect(patched((copy) => copy.writeUInt32LE(13, at - 12)).message).toMatch(/no metadata type 13/);
    const array = patched((copy) => {
      copy.writeUInt32LE(9, at - 12);
      copy.writeUInt32LE(12, at - 8);
      copy.writeBigUInt64LE(2n ** 61n, at - 4);
    });
    expect(array.message).toMatch(/array's length is 2305843009213693952, more than/);
    expect(array.place.field).toBe("key");
  });

  test("a name full of terminal commands is shown as text", () => {
    const { message, place } = failure(() => read(ggufFile(withTensor({ name: "\x1b[2J\x07".repeat(50), type: 99 }))));
    expect(message + place.field).not.toMatch(/\p{Cc}/u);
    expect(place.field!.length).toBeLessThan(700);
  });

  test("a file of terabytes of zeros after its head does not fill the memory", () => {
    for (const item of [0, 7, 8, 9, 12]) {
      const bytes = Buffer.from(ggufFile({ metadata: [["key", ["uint8"], []]] }));
      const at = bytes.indexOf("key") + 3;
      bytes.writeUInt32LE(item, at + 4);
      bytes.writeBigUInt64LE(2n ** 36n, at + 8);
      writeFileSync(path, bytes);
      truncateSync(path, 2 ** 40);
      expect(failure(() => readGguf(path)).message).toMatch(/more than 128 MiB|more than the 16777216 allowed/);
    }
  });

  test("no file, or a folder", () => {
    expect(failure(() => readGguf(join(folder, "none.gguf"))).message).toMatch(/no such file/);
    mkdirSync(join(folder, "sub"));
    expect(failure(() => readGguf(join(folder, "sub"))).message).toMatch(/not a file/);
  });
});

describe("damaged files", () => {
  const metadata = values.map(([key, type, written]) => [key, type, written] as const);
  const whole = ggufFile({ metadata: [...metadata, ["general.alignment", "uint32", 32]], tensors });

  const settles = (bytes: Uint8Array, what: string): boolean => {
    try {
      const gguf = read(bytes);
      for (const name of gguf.tensors.keys()) scope(() => dequantise(gguf, name).elements);
      return true;
    } catch (error) {
      if (error instanceof ModelError && error.hint && error.place.file === path) return false;
      throw new Error(`${what}: ${error}`, { cause: error });
    }
  };

  test("cut short at every byte", () => {
    const padding = 20;
    for (let length = 0; length < whole.length; length++) {
      const read = settles(whole.subarray(0, length), `${length} bytes`);
      expect(read, `${length} bytes`).toBe(length >= whole.length - padding);
    }
  });

  test("every bit turned, and every byte set to all ones", () => {
    let read = 0;
    for (let at = 0; at < whole.length; at++) {
      for (const mask of [1, 2, 4, 8, 16, 32, 64, 128, 255]) {
        const copy = Buffer.from(whole);
        copy[at]! ^= mask;
        if (settles(copy, `byte ${at} ^ ${mask}`)) read++;
      }
      const copy = Buffer.from(whole);
      copy[at] = 255;
      settles(copy, `byte ${at} = 255`);
    }
    expect(read).toBeGreaterThan(0);
  });
});

import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, expect, test, vi } from "vitest";
import { native } from "../torch/index.ts";
import { measurePrecision, resolvePrecision } from "./precision.ts";

function inCache<T>(folder: string, body: () => T): T {
  vi.stubEnv("AMALGAM_CACHE", folder);
  try {
    return body();
  } finally {
    vi.unstubAllEnvs();
  }
}
// The addon is cached in the same folder: loaded before that folder is another.
beforeAll(() => void native());

const emptyFolder = () => mkdtempSync(join(tmpdir(), "amalgam-precision-"));

test("the machine is measured once; the verdict follows from the rates and is kept", () => {
  const folder = emptyFolder();
  const measured = inCache(folder, measurePrecision);
  expect(measured.fp32).toBeGreaterThan(0);
  expect(measured.choice).toBe(measured.bf16 >= 1.5 * measured.fp32 ? "bf16" : "fp32");
  const [file, ...others] = readdirSync(folder);
  expect(others).toEqual([]);
  expect(JSON.parse(readFileSync(join(folder, file!), "utf8"))).toEqual(measured);
  const other = { fp32: 1, bf16: 9, choice: "bf16" };
  writeFileSync(join(folder, file!), JSON.stringify(other));
  expect(inCache(folder, measurePrecision)).toEqual(other);
  expect(inCache(folder, () => resolvePrecision("auto", "cpu"))).toBe("bf16");
  writeFileSync(join(folder, file!), "half a fi");
  expect(inCache(folder, measurePrecision)).not.toEqual(other);
});

test("a cache that can't be written costs the measurement, not the answer", () => {
  const file = join(emptyFolder(), "file");
  writeFileSync(file, "");
  expect(["fp32", "bf16"]).toContain(inCache(join(file, "below"), measurePrecision).choice);
});

test("what is asked for is taken; on CUDA auto is bf16", () => {
  expect(resolvePrecision("fp32", "cuda:0")).toBe("fp32");
  expect(resolvePrecision("bf16", "cpu")).toBe("bf16");
  expect(resolvePrecision("auto", "cuda:0")).toBe("bf16");
});

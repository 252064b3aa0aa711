import { mkdtempSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, expect, test, vi } from "vitest";
import { cacheFolder } from "../schema/index.ts";
import { native } from "../torch/index.ts";
import { compileForChildren } from "../torch/testing/child.ts";
import {
  fasterLibrary,
  fasterPrecision,
  fp32Rate,
  kernelIsFaster,
  machineRates,
  oneDnnIsFasterInRows,
  resolvePrecision,
} from "./machine-rates.ts";

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

const emptyFolder = () => mkdtempSync(join(tmpdir(), "amalgam-rates-"));

test("the machine is measured once, and the figures are kept", () => {
  const folder = emptyFolder();
  const measured = inCache(folder, machineRates);
  expect(measured.blas).toBeGreaterThan(0);
  expect(measured.bf16).toBeGreaterThan(0);
  const [file, ...others] = readdirSync(folder);
  expect(others).toEqual([]);
  expect(JSON.parse(readFileSync(join(folder, file!), "utf8"))).toEqual(measured);
  expect(inCache(folder, machineRates)).toBe(measured);
});

test("figures of an earlier process are taken; a file that holds something else is measured again", () => {
  const [stored, broken] = [emptyFolder(), emptyFolder()];
  inCache(broken, machineRates);
  const [file] = readdirSync(broken);
  const other = { blas: 1, onednn: 2, kernel: 3, bf16: 9, onednnInRows: 1, fewRows: 2 };
  writeFileSync(join(stored, file!), JSON.stringify(other));
  expect(inCache(stored, machineRates)).toEqual(other);
  expect(inCache(stored, () => resolvePrecision("auto", "cpu"))).toBe("bf16");
  const halfAFile = emptyFolder();
  writeFileSync(join(halfAFile, file!), "half a fi");
  expect(inCache(halfAFile, machineRates).blas).toBeGreaterThan(1);
});

test("processes that measure at once all take the figures of the first to end", async () => {
  const folder = emptyFolder();
  for (const name of readdirSync(cacheFolder()))
    if (!name.startsWith("rates-")) symlinkSync(join(cacheFolder(), name), join(folder, name));
  const children = compileForChildren("nn");
  try {
    const script = `import { machineRates } from "./dist/nn/index.js"; console.log(JSON.stringify(machineRates()));`;
    const both = await Promise.all([0, 1].map(() => children.run(script, [], { AMALGAM_CACHE: folder })));
    expect(both.map(({ stderr }) => stderr)).toEqual(["", ""]);
    expect(both[0]!.stdout).toBe(both[1]!.stdout);
    expect(JSON.parse(both[0]!.stdout)).toMatchObject({ blas: expect.any(Number) as number });
  } finally {
    children.remove();
  }
});

test("a cache that can't be written costs the measurement, not the answer", () => {
  const file = join(emptyFolder(), "file");
  writeFileSync(file, "");
  expect(inCache(join(file, "below"), machineRates).bf16).toBeGreaterThan(0);
});

test.each([
  [{ blas: 100, onednn: 220, kernel: 210, bf16: 400, onednnInRows: 1, fewRows: 1 }, "onednn", false, 220, "bf16"],
  [{ blas: 100, onednn: 220, kernel: 230, bf16: 340, onednnInRows: 1, fewRows: 1 }, "onednn", true, 230, "fp32"],
  [{ blas: 100, onednn: 105, kernel: 90, bf16: 160, onednnInRows: 1, fewRows: 1 }, "blas", false, 100, "bf16"],
  [{ blas: 100, onednn: null, kernel: 120, bf16: 12, onednnInRows: 1, fewRows: 1 }, "blas", true, 120, "fp32"],
] as const)(
  "from %j follow what computes fp32, its rate and the precision",
  (rates, library, kernel, rate, precision) => {
    expect([fasterLibrary(rates), kernelIsFaster(rates), fp32Rate(rates), fasterPrecision(rates)]).toEqual([
      library,
      kernel,
      rate,
      precision,
    ]);
  },
);

test("oneDNN has the products that it turns nothing around for where it is clearly the faster there, whatever it is elsewhere", () => {
  const others = { blas: 200, onednn: 190, kernel: 210, bf16: 300, fewRows: 1 };
  expect(oneDnnIsFasterInRows({ ...others, onednnInRows: 1.04 })).toBe(true);
  expect(oneDnnIsFasterInRows({ ...others, onednnInRows: 1.01 })).toBe(false);
  expect(oneDnnIsFasterInRows({ ...others, onednn: null, onednnInRows: null })).toBe(false);
});

test("what is asked for is taken; on CUDA auto is bf16", () => {
  expect(resolvePrecision("fp32", "cuda:0")).toBe("fp32");
  expect(resolvePrecision("bf16", "cpu")).toBe("bf16");
  expect(resolvePrecision("auto", "cuda:0")).toBe("bf16");
});

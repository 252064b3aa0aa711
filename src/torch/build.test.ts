import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { buildAddon } from "./build.ts";
import { locateTorch } from "./locate.ts";
import { type Children, compileForChildren } from "./testing/child.ts";

let children: Children;
/** Of the libtorch that this test runs with: an empty cache would have it fetched again. */
let torchRoot: string;
/** The addon that the other tests run with. */
let compiled: string;
const folder = mkdtempSync(join(tmpdir(), "torch-build-"));
beforeAll(() => {
  children = compileForChildren();
  const torch = locateTorch(() => {});
  torchRoot = torch.root;
  compiled = buildAddon(torch, () => {});
});
afterAll(() => {
  children.remove();
  rmSync(folder, { recursive: true, force: true });
});

const script = `
  import { tensor, toNumbers } from "./dist/torch/index.js";
  try {
    console.log(JSON.stringify(toNumbers(tensor([1, 2]).add(1))));
  } catch (error) {
    console.log(JSON.stringify({ name: error.name, message: error.message, hint: error.hint }));
  }
`;

async function refusal(environment: Record<string, string>): Promise<Record<"name" | "message" | "hint", string>> {
  const { code, stdout } = await children.run(script, [], {
    AMALGAM_TORCH: torchRoot,
    AMALGAM_CACHE: join(folder, "none"),
    ...environment,
  });
  expect(code).toBe(0);
  return JSON.parse(stdout);
}

/**
 * A compiler that writes what it was started with, waits until two of it run, and gives the addon that the other tests run with:
 * that one was compiled by the real one.
 */
function meetingCompiler(): { readonly path: string; readonly starts: () => string[] } {
  const [path, meeting] = [join(folder, "meeting-c++"), join(folder, "meeting")];
  mkdirSync(meeting);
  const text = `#!/bin/sh
[ "$1" = --version ] && exit 0
echo "$@" >"${meeting}/$$"
tries=0
while [ "$(ls "${meeting}" | wc -l)" -lt 2 ]; do
  tries=$((tries + 1))
  [ $tries -gt 600 ] && { echo "error: the other process never compiled" >&2; exit 1; }
  sleep 0.05
done
while [ "$1" != -o ]; do shift; done
cp "${compiled}" "$2"
`;
  writeFileSync(path, text, { mode: 0o755 });
  return { path, starts: () => readdirSync(meeting).map((each) => readFileSync(join(meeting, each), "utf8")) };
}

test("two processes that start at once with an empty cache both work, and one addon is left", async () => {
  const [cache, compiler] = [join(folder, "cache"), meetingCompiler()];
  const environment = { AMALGAM_TORCH: torchRoot, AMALGAM_CACHE: cache, CXX: compiler.path };
  const ended = await Promise.all([0, 1].map(() => children.run(script, [], environment)));
  expect(ended.map(({ code, stdout }) => [code, stdout])).toEqual([
    [0, "[2,3]\n"],
    [0, "[2,3]\n"],
  ]);
  for (const { stderr } of ended) expect(stderr).toMatch(/^amalgam: compiling the addon against torch 2\.13.*\n$/);
  const [key] = readdirSync(join(cache, "addon"));
  expect(readdirSync(join(cache, "addon", key!))).toEqual(["amalgam.node"]);
  // Neither wrote where the other did.
  const outputs = compiler.starts().map((words) => / -o (\S+)/.exec(words)?.[1]);
  expect(new Set(outputs).size).toBe(2);
  expect(outputs).not.toContain(join(cache, "addon", key!, "amalgam.node"));

  const third = await children.run(script, [], { AMALGAM_TORCH: torchRoot, AMALGAM_CACHE: cache, CXX: "/nonexistent" });
  expect([third.stdout, third.stderr]).toEqual(["[2,3]\n", ""]);

  writeFileSync(join(cache, "addon", key!, "amalgam.node"), "no library");
  const damaged = await refusal({ AMALGAM_CACHE: cache });
  expect(damaged).toMatchObject({ name: "EnvironmentError", message: expect.stringMatching(/can't be loaded/) });
});

describe("what is missing is named", () => {
  test("a compiler, with the package to install", async () => {
    const error = await refusal({ CXX: "/nonexistent" });
    expect(error.name).toBe("EnvironmentError");
    expect(error.message).toContain("/nonexistent");
    expect(error.hint).toMatch(/apt-get install g\+\+.*gcc-c\+\+.*xcode-select/);
  });

  test("a compiler that fails, with its first error", async () => {
    const compiler = join(folder, "broken-c++");
    const text = '#!/bin/sh\n[ "$1" = --version ] && exit 0\necho "x.cc:1: error: no such luck" >&2\nexit 1\n';
    writeFileSync(compiler, text, { mode: 0o755 });
    const error = await refusal({ CXX: compiler });
    expect(error).toMatchObject({ name: "EnvironmentError", message: expect.stringMatching(/no such luck/) });
    expect(error.hint).toMatch(/C\+\+20/);
  });

  test("a cache that can't be written", async () => {
    const file = join(folder, "file");
    writeFileSync(file, "");
    const error = await refusal({ AMALGAM_CACHE: file });
    expect(error).toMatchObject({ name: "EnvironmentError", message: expect.stringMatching(/can't be written/) });
    expect(error.hint).toContain("AMALGAM_CACHE");
  });

  test("libtorch in AMALGAM_TORCH", async () => {
    for (const place of [join(folder, "nowhere"), folder]) {
      const error = await refusal({ AMALGAM_TORCH: place });
      expect(error.name).toBe("EnvironmentError");
      expect(error.message).toContain(`AMALGAM_TORCH is ${place}, which holds no libtorch`);
    }
  });

  test.each(["1.13.1", "2.12.0+cpu", "2.130.0"])("a version of torch that is known, not %s", async (version) => {
    const torch = join(folder, version);
    mkdirSync(join(torch, "include/ATen"), { recursive: true });
    mkdirSync(join(torch, "lib"));
    writeFileSync(join(torch, "version.py"), `__version__ = '${version}'\n`);
    const error = await refusal({ AMALGAM_TORCH: torch });
    expect(error.name).toBe("EnvironmentError");
    expect(error.message).toContain(`torch ${version}`);
    expect(error.hint).toContain("2.13.x");
  });
});

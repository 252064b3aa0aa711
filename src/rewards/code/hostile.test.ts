import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { gathered } from "../../sources/index.ts";
import { codeBench } from "./bench.ts";
import { hasBubblewrap } from "./testing/bubblewrap.ts";
import { greedy, type HostileProgram, prying, rebellious, type Targets } from "./testing/hostile-programs.ts";
import type { Verdict } from "./verdict.ts";

const folder = mkdtempSync(join(tmpdir(), "amalgam-hostile-"));
const file = join(folder, "outside.txt");
const reached: string[] = [];
const servers: Server[] = [];
const variable = "AMALGAM_TEST_SECRET";
const abstractSocket = `amalgam-hostile-${process.pid}`;
let targets: Targets;

const listen = async (name: string, ...where: [number, string] | [string]): Promise<Server> => {
  const server = createServer((connection) => {
    reached.push(name);
    connection.destroy();
  });
  await new Promise<void>((resolve) => server.listen(...(where as [number, string]), resolve));
  servers.push(server);
  return server;
};

beforeAll(async () => {
  writeFileSync(file, "as it was", { mode: 0o666 });
  process.env[variable] = "a-very-secret-word";
  const { port } = (await listen("port", 0, "127.0.0.1")).address() as { port: number };
  await listen("socket", join(folder, "socket"));
  await listen("abstract socket", `\0${abstractSocket}`);
  targets = {
    file,
    port,
    socket: join(folder, "socket"),
    abstractSocket,
    pid: process.pid,
    variable,
    secret: process.env[variable],
    mark: `left-by-${process.pid}`,
  };
});

afterAll(() => {
  for (const server of servers) server.close();
  rmSync(folder, { recursive: true });
});

const commandLines = (): string[] =>
  readdirSync("/proc").flatMap((pid) => {
    try {
      return /^\d+$/.test(pid) ? [readFileSync(`/proc/${pid}/cmdline`, "utf8")] : [];
    } catch {
      return [];
    }
  });

/** Runs them side by side, and gives those that ended otherwise than they may. */
async function misjudged(programs: readonly HostileProgram[]): Promise<(readonly [string, Verdict])[]> {
  const memoryBytes = 256 * 2 ** 20;
  const patient = codeBench({ seconds: 20, memoryBytes });
  const hasty = codeBench({ seconds: 0.4, memoryBytes });
  const found: (readonly [string, Verdict])[] = [];
  try {
    const { signal } = new AbortController();
    const verdicts = gathered<HostileProgram, readonly [HostileProgram, Verdict]>(
      programs,
      6,
      async (program, emit, stop) => {
        const { language, code, ends } = program;
        const bench = ends.includes("timeout") ? hasty : patient;
        // Attacks in JavaScript may wait for something, which only a test can.
        const parts = language === "javascript" ? { code: "", test: code } : { code, test: "pass" };
        emit([program, await bench.verdict({ language, before: "", ...parts }, stop)]);
      },
      signal,
    );
    for await (const [{ name, language, ends }, verdict] of verdicts)
      if (!ends.includes(verdict)) found.push([`${name} (${language})`, verdict]);
  } finally {
    await patient.close();
    await hasty.close();
  }
  return found;
}

async function nothingLeft(): Promise<void> {
  // The kernel ends the processes of a sandbox together, but not within the same instant.
  for (let tries = 0; tries < 50 && commandLines().some((line) => line.includes(targets.mark)); tries++)
    await sleep(20);
  expect(commandLines().filter((line) => line.includes(targets.mark))).toEqual([]);
  expect(readFileSync(file, "utf8")).toBe("as it was");
  expect(reached).toEqual([]);
}

test.runIf(hasBubblewrap)("what takes without end crosses a limit, and is ended", async () => {
  expect(await misjudged(greedy)).toEqual([]);
  await nothingLeft();
});

test.runIf(hasBubblewrap)("what reaches for files, secrets and the network gets none", async () => {
  expect(await misjudged(prying(targets))).toEqual([]);
  await nothingLeft();
});

test.runIf(hasBubblewrap)(
  "what goes for other processes, limits and walls, or only pretends to pass, does not",
  async () => {
    expect(await misjudged(rebellious(targets))).toEqual([]);
    await nothingLeft();
  },
);

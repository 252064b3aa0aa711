import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { afterAll, expect, test } from "vitest";
import { compileRooms } from "../schema/testing/compile-rooms.ts";
import { type Draw, openLedger, readLedger, type StoredPrompt } from "./index.ts";

const prompts: StoredPrompt[] = Array.from({ length: 50 }, (_, i) => ({
  id: `p${i}`,
  split: "wrpo",
  messages: [{ role: "user", content: `question ${i}` }],
  checks: [],
}));
const draw: Draw = {
  source: "model",
  identity: "digest",
  sampling: { temperature: 1, top_p: 1, top_k: 0, max_tokens: 9, stop: [], seed: 1 },
  n: 60,
  splits: ["wrpo"],
};

/** Stores what is missing in small batches, and says each batch's indices once it is acknowledged. */
const writer = `
  import { writeSync } from "node:fs";
  import { openLedger } from "./dist/store/index.js";
  const say = (line) => writeSync(1, line + "\\n");
  try {
    const ledger = await openLedger(process.argv[2]);
    say("open");
    for await (const { promptId, indices } of ledger.responses.missing("sources", "model")) {
      for (let start = 0; start < indices.length; start += 4) {
        const batch = indices.slice(start, start + 4);
        await ledger.responses.add("sources", "model", batch.map((index) => ({
          promptId, index, text: (process.pid + " " + promptId + "/" + index + " ").repeat(200),
          finish: "stop", promptTokens: 1, responseTokens: 1,
        })));
        for (const index of batch) say("stored " + promptId + "/" + index + " " + process.pid);
      }
    }
    await ledger.close();
    say("all");
  } catch (error) {
    say("error " + error.name + " " + error.message);
  }
`;

const compiled = compileRooms("crash", ["schema", "store"]);
const script = join(compiled, "script.js");
writeFileSync(script, writer);

afterAll(() => rmSync(compiled, { recursive: true, force: true }));

type Child = ChildProcessByStdio<null, Readable, null>;

function start(folder: string, hear: (line: string, child: Child) => void): { child: Child; ended: Promise<unknown> } {
  const child = spawn(process.execPath, [script, folder], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  createInterface({ input: child.stdout }).on("line", (line) => hear(line, child));
  return { child, ended: once(child, "close") };
}

async function freshRun(): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), "ledger-crash-"));
  const ledger = await openLedger(folder);
  await ledger.prompts.replace(prompts);
  await ledger.responses.declare("sources", [draw]);
  await ledger.close();
  return folder;
}

test("killed ten times at random moments: everything acknowledged is there exactly once, with its first text", async () => {
  const folder = await freshRun();
  const acknowledged = new Map<string, string>();
  let twice = 0;
  const kills = 10;
  for (let attempt = 0; attempt <= kills; attempt += 1) {
    const said: string[] = [];
    // The last attempt may finish; the others die a random while after their first writes.
    const delay = attempt === kills ? undefined : Math.random() * 60;
    let armed = false;
    const { ended } = start(folder, (line, child) => {
      said.push(line);
      const [word, key, pid] = line.split(" ");
      if (word !== "stored") return;
      if (acknowledged.has(key!)) twice += 1;
      acknowledged.set(key!, pid!);
      if (armed || delay === undefined) return;
      armed = true;
      setTimeout(() => child.kill("SIGKILL"), delay);
    });
    await ended;
    expect(said[0]).toBe("open");
    if (attempt === kills) expect(said.at(-1)).toBe("all");

    const reader = await readLedger(folder);
    const stored = new Map<string, string>();
    for await (const { promptId, index, text } of reader.responses.byStage("sources")) {
      expect(stored.has(`${promptId}/${index}`)).toBe(false);
      stored.set(`${promptId}/${index}`, text.split(" ")[0]!);
    }
    for (const [key, pid] of acknowledged) expect([key, stored.get(key)]).toEqual([key, pid]);
    await reader.verify();
    expect(await reader.writer()).toBeUndefined();
    await reader.close();
    if (attempt === kills) expect(stored.size).toBe(prompts.length * draw.n);
  }
  expect(twice).toBe(0);
  rmSync(folder, { recursive: true, force: true });
});

test("a run that another process writes is refused with its pid; when that process is killed, the run is free at once", async () => {
  const folder = await freshRun();
  let opened = () => {};
  const isOpen = new Promise<void>((resolve) => {
    opened = resolve;
  });
  const { child, ended } = start(folder, (line) => {
    if (line === "open") opened();
  });
  await isOpen;
  child.kill("SIGSTOP");
  await expect(openLedger(folder)).rejects.toThrow(new RegExp(`process ${child.pid} `));
  const reader = await readLedger(folder);
  expect((await reader.writer())!.pid).toBe(child.pid);
  await reader.close();
  child.kill("SIGKILL");
  await ended;
  const ledger = await openLedger(folder);
  expect((await ledger.writer())!.pid).toBe(process.pid);
  await ledger.close();
  rmSync(folder, { recursive: true, force: true });
});

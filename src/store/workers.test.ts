import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { inspect } from "node:util";
import pg from "pg";
import { afterAll, describe, expect, test } from "vitest";
import type { LedgerRecipe } from "../schema/index.ts";
import { compileRooms } from "../schema/testing/compile-rooms.ts";
import { type Ledger, openLedger, readLedger } from "./index.ts";
import { postgresServer } from "./testing/engines.ts";
import { postgresPrograms } from "./testing/postgres.ts";
import { answer, draw, prompt } from "./testing/rows.ts";

/** Responses that a worker asks for at once. */
const inFlight = 4;

/** Asks a server for what it is given, a few at once, and stores each answer. Its clock may be wrong. */
const worker = `
  import { openLedger } from "./dist/store/index.js";
  const [folder, shared, server, skew] = process.argv.slice(2);
  const real = Date.now;
  Date.now = () => real() + Number(skew);
  const ledger = await openLedger(folder, { shared: JSON.parse(shared) });
  const requests = ledger.responses.missing("sources", "model")[Symbol.asyncIterator]();
  const work = async () => {
    for (let next = await requests.next(); !next.done; next = await requests.next()) {
      const { promptId, indices } = next.value;
      for (const index of indices) {
        const text = await (await fetch(server + "/" + promptId + "/" + index + "/" + process.pid)).text();
        await ledger.responses.add("sources", "model", [
          text === "failure"
            ? { promptId, index, failure: "the server failed" }
            : { promptId, index, text, finish: "stop", promptTokens: 1, responseTokens: 1 },
        ]);
      }
    }
  };
  await Promise.all(Array.from({ length: ${inFlight} }, work));
  await ledger.close();
`;

const prompts = Array.from({ length: 150 }, (_, i) => prompt(`p${i}`));
const model = draw("model", { n: 3, splits: ["wrpo"] });

describe.skipIf(postgresPrograms() === undefined)("several workers on one ledger", () => {
  const compiled = compileRooms("workers", ["schema", "store"]);
  const script = join(compiled, "script.js");
  writeFileSync(script, worker);
  afterAll(() => rmSync(compiled, { recursive: true, force: true }));
  const postgres = postgresServer();

  /** A ledger with prompts and nothing else, a server that counts what it is asked for, and what starts workers on both. */
  async function world(
    leaseSeconds: number,
    fails: (asked: string, times: number) => boolean = () => false,
    /** Nobody is answered before so many workers have asked. */
    together = 1,
  ) {
    const shared = postgres().freshLedger({ lease_seconds: leaseSeconds });
    const folder = mkdtempSync(join(tmpdir(), "workers-"));
    const ledger = await openLedger(join(folder, "first"), { shared });
    await ledger.prompts.replace(prompts);
    await ledger.responses.declare("sources", [model]);
    await ledger.close();
    const asked = new Map<string, string[]>();
    const present = new Set<string>();
    let allPresent = () => {};
    const gate = new Promise<void>((resolve) => {
      allPresent = resolve;
    });
    const server = createServer((request, response) => {
      const [, promptId, index, pid] = request.url!.split("/");
      const key = `${promptId}/${index}`;
      asked.set(key, [...(asked.get(key) ?? []), pid!]);
      const text = fails(key, asked.get(key)!.length) ? "failure" : `${key} by ${pid}`;
      if (present.add(pid!).size === together) allPresent();
      void gate.then(() => setTimeout(() => response.end(text), 5 + Math.random() * 20));
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    let started = 0;
    return {
      shared,
      asked,
      total: () => [...asked.values()].reduce((sum, pids) => sum + pids.length, 0),
      start(skewMs = 0): { child: ChildProcess; ended: Promise<unknown> } {
        const words = [
          join(folder, `worker-${started++}`),
          JSON.stringify(shared),
          `http://127.0.0.1:${port}`,
          `${skewMs}`,
        ];
        const child = spawn(process.execPath, [script, ...words], { stdio: ["ignore", "inherit", "inherit"] });
        return { child, ended: once(child, "close") };
      },
      async responses() {
        const reader = await readLedger(join(folder, "first"));
        const stored: string[] = [];
        for await (const { promptId, index } of reader.responses.byStage("sources"))
          stored.push(`${promptId}/${index}`);
        const [status] = await reader.drawStatus();
        await reader.close();
        expect(status!.done).toBe(stored.length);
        return stored;
      },
      async end() {
        server.close();
        server.closeAllConnections();
        rmSync(folder, { recursive: true, force: true });
      },
    };
  }

  const everything = prompts.flatMap(({ id }) => [0, 1, 2].map((index) => `${id}/${index}`));

  test("three with clocks an hour apart share the work: each response is asked for once", async () => {
    const { start, responses, asked, end } = await world(60, () => false, 3);
    const workers = [start(), start(3_600_000), start(-3_600_000)];
    await Promise.all(workers.map(({ ended }) => ended));
    expect(await responses()).toEqual(everything);
    expect([...asked.values()].filter((pids) => pids.length > 1)).toEqual([]);
    const share = new Map<string, number>();
    for (const [pid] of asked.values()) share.set(pid!, (share.get(pid!) ?? 0) + 1);
    expect(share.size).toBe(3);
    await end();
  });

  test("workers killed at random moments lose nothing: only what was in flight is asked for again", async () => {
    const { start, responses, total, end } = await world(2);
    const steady = start();
    let kills = 0;
    const killing = (async () => {
      while (kills < 4) {
        const { child, ended } = start();
        await sleep(700 + Math.random() * 500);
        if (child.exitCode !== null) break;
        child.kill("SIGKILL");
        await ended;
        kills += 1;
      }
    })();
    await Promise.all([steady.ended, killing]);
    await start().ended;
    expect(await responses()).toEqual(everything);
    expect(kills).toBeGreaterThan(0);
    expect(total()).toBeLessThanOrEqual(everything.length + kills * inFlight);
    await end();
  });

  test("a worker that was paused past its lease and woken repeats at most the prompts that it was at, and harms nobody", async () => {
    const { start, responses, total, asked, end } = await world(2);
    const sleeper = start();
    while (total() < 30) await sleep(20);
    sleeper.child.kill("SIGSTOP");
    const atPause = total();
    const other = start();
    await other.ended;
    expect(await responses()).toEqual(everything);
    const before = total();
    expect(before).toBeGreaterThan(atPause);
    sleeper.child.kill("SIGCONT");
    await sleeper.ended;
    expect(await responses()).toEqual(everything);
    // The prompts that it was at when it was paused are asked for twice; nothing else is.
    expect(total()).toBeLessThanOrEqual(everything.length + inFlight * model.n);
    expect(Math.max(...[...asked.values()].map((pids) => pids.length))).toBeLessThanOrEqual(2);
    await end();
  });

  test("what fails is asked for once by all workers together, stays missing, and is filled by a later one", async () => {
    const { start, responses, asked, end } = await world(60, (key, times) => key.endsWith("7/1") && times === 1, 2);
    await Promise.all([start().ended, start().ended]);
    const failing = everything.filter((key) => key.endsWith("7/1"));
    expect(await responses()).toEqual(everything.filter((key) => !failing.includes(key)));
    expect(failing.map((key) => asked.get(key)!.length)).toEqual(failing.map(() => 1));
    await start().ended;
    expect(await responses()).toEqual(everything);
    await end();
  });

  describe("in one process", () => {
    const opened: Ledger[] = [];
    const open = async (shared: LedgerRecipe) => {
      const ledger = await openLedger(mkdtempSync(join(tmpdir(), "workers-")), { shared });
      opened.push(ledger);
      return ledger;
    };
    const close = async () => {
      for (const ledger of opened.splice(0)) {
        await ledger.close();
        rmSync(ledger.folder, { recursive: true, force: true });
      }
    };

    test("other prompts, another recipe and a stage that another worker is at are refused, with its name", async () => {
      const shared = postgres().freshLedger();
      const [a, b] = await Promise.all([open(shared), open(shared)]);
      await a.prompts.replace(prompts);
      await b.prompts.replace(prompts);
      await expect(b.prompts.replace(prompts.slice(1))).rejects.toThrow(new RegExp(`process ${process.pid} on`));
      await a.responses.declare("sources", [model]);
      await b.responses.declare("sources", [model]);
      await expect(b.responses.declare("sources", [{ ...model, n: 9 }])).rejects.toThrow(/other responses/);
      await expect(b.responses.declare("sources", [])).rejects.toThrow(/other responses/);
      let finish = () => {};
      const busy = a.exclusively(
        "sft",
        () =>
          new Promise<void>((resolve) => {
            finish = resolve;
          }),
      );
      await sleep(100);
      await expect(b.exclusively("sft", async () => {})).rejects.toThrow(/is at the stage sft/);
      finish();
      await busy;
      expect(await b.exclusively("sft", async () => "done")).toBe("done");
      await a.close();
      await b.prompts.replace(prompts.slice(1));
      await close();
    });

    test("of two that come to an empty ledger at once with other prompts or sources, one is refused", async () => {
      const shared = postgres().freshLedger();
      const [a, b] = await Promise.all([open(shared), open(shared)]);
      const refused = (results: readonly PromiseSettledResult<void>[]) =>
        results.flatMap((result) => (result.status === "rejected" ? [String(result.reason)] : []));
      const replaced = [a.prompts.replace(prompts), b.prompts.replace(prompts.slice(1))];
      expect(refused(await Promise.allSettled(replaced))).toEqual([expect.stringMatching(/prompts are not those/)]);
      const declared = [a, b].map((ledger, n) => ledger.responses.declare("sources", [{ ...model, n: n + 1 }]));
      expect(refused(await Promise.allSettled(declared))).toEqual([expect.stringMatching(/other responses/)]);
      await close();
    });

    test("a late writer's response counts if nobody else has it, its failure does not", async () => {
      const shared = postgres().freshLedger();
      const [a, b] = await Promise.all([open(shared), open(shared)]);
      await a.prompts.replace(prompts.slice(0, 2));
      await a.responses.declare("sources", [{ ...model, n: 1 }]);
      const requests = a.responses.missing("sources", "model")[Symbol.asyncIterator]();
      await requests.next();
      await requests.next();
      expect(
        await b.responses.add("sources", "model", [answer("p0", 0), { promptId: "p1", index: 0, failure: "late" }]),
      ).toBe(1);
      expect(await a.responses.add("sources", "model", [answer("p0", 0, "again"), answer("p1", 0)])).toBe(1);
      expect(await a.responses.failures("sources")).toEqual([]);
      expect((await a.drawStatus())[0]).toMatchObject({ total: 2, done: 2, failed: 0 });
      await close();
    });

    test("options in the address hold beside the ledger's own", async () => {
      const { url, freshLedger } = postgres();
      const client = new pg.Client({ connectionString: url });
      await client.connect();
      const own = freshLedger();
      await open({ ...own, url: `${url}?options=-c%20search_path%3Dpublic` });
      const { rows } = await client.query("select schemaname from pg_tables where tablename = 'responses'");
      await client.end();
      expect(rows.map(({ schemaname }) => schemaname)).toContain(own.schema);
      expect(rows.map(({ schemaname }) => schemaname)).not.toContain("public");
      const forReading = { ...own, url: `${url}?options=-c%20default_transaction_read_only%3Don` };
      await expect(open(forReading)).rejects.toThrow(/can't be written/);
      await close();
    });

    test("a user that may make no schema works in one that is there", async () => {
      const { url, freshLedger } = postgres();
      const { schema, ...rest } = freshLedger();
      const client = new pg.Client({ connectionString: url });
      await client.connect();
      await client.query(`create role guest login password 'guest'; create schema ${schema} authorization guest`);
      await client.end();
      process.env.AMALGAM_TEST_LEDGER = url.replace("amalgam@", "guest:guest@");
      const ledger = await open({ ...rest, url: undefined, url_env: "AMALGAM_TEST_LEDGER", schema });
      await ledger.prompts.replace(prompts);
      expect((await ledger.prompts.counts()).wrpo).toBe(prompts.length);
      await close();
      delete process.env.AMALGAM_TEST_LEDGER;
    });

    test("no password is in an error, a run folder or what is shown, and a wrong one is explained", async () => {
      const { password, url } = postgres();
      const folder = mkdtempSync(join(tmpdir(), "workers-"));
      process.env.AMALGAM_TEST_LEDGER = url.replace("amalgam@", `amalgam:${encodeURIComponent("wrong secret")}@`);
      const shared = { url_env: "AMALGAM_TEST_LEDGER", schema: "secrets", lease_seconds: 60 };
      const error = await openLedger(folder, { shared }).catch((caught: unknown) => caught as Error);
      expect(String(error)).toMatch(/does not accept this user or password/);
      delete process.env.PGPASSWORD;
      await expect(openLedger(folder, { shared: { ...shared, url_env: undefined, url } })).rejects.toThrow(
        /does not accept this user or password/,
      );
      process.env.PGPASSWORD = password;
      process.env.AMALGAM_TEST_LEDGER = url.replace("amalgam@", `amalgam:${encodeURIComponent(password)}@`);
      const ledger = await openLedger(folder, { shared });
      await ledger.close();

      const shown = inspect(error, { depth: 9 }) + readFileSync(join(folder, "ledger.json"), "utf8");
      for (const secret of [password, "wrong secret", "wrong%20secret"]) expect(shown).not.toContain(secret);
      await expect(openLedger(folder)).rejects.toThrow(/PostgreSQL/);
      process.env.AMALGAM_TEST_LEDGER = "not a url with secret";
      await expect(readLedger(folder)).rejects.toThrow(/holds no URL/);
      delete process.env.AMALGAM_TEST_LEDGER;
      await expect(readLedger(folder)).rejects.toThrow(/AMALGAM_TEST_LEDGER is not set/);
      rmSync(folder, { recursive: true, force: true });
    });
  });
});

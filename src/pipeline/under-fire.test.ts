import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { fire } from "../sources/testing/fire-server.ts";
import { serving } from "../sources/testing/serving.ts";
import { readLedger } from "../store/index.ts";
import { toldRun } from "./testing/child-run.ts";
import { promptRows, runFolder, tinyWorld } from "./testing/tiny-world.ts";

const world = tinyWorld();
afterAll(() => world.remove());
const { serve } = serving();

/** How often the run is killed. `AMALGAM_KILLS=50 npx vitest run src/pipeline/under-fire.test.ts` is the long trial. */
const kills = Number(process.env.AMALGAM_KILLS ?? 4);
const n = 3;
const concurrency = 4;

/** What the ledger has: for each source and prompt the texts by index. */
async function stored(folder: string): Promise<Map<string, string[]>> {
  const found = new Map<string, string[]>();
  const ledger = await readLedger(folder);
  try {
    for await (const { prompt, responses } of ledger.responses.byPrompt("sources"))
      for (const { source, index, text } of responses) {
        const place = `${source} ${prompt.messages.at(-1)!.content}`;
        const texts = found.get(place) ?? [];
        expect(texts[index], `${place} ${index} stands twice`).toBeUndefined();
        texts[index] = text;
        found.set(place, texts);
      }
  } finally {
    await ledger.close();
  }
  return found;
}

test(`a server that fails one of five calls, and ${kills} kills at random moments: every response once, none asked for again`, {
  timeout: 60_000 + kills * 15_000,
}, async () => {
  const count = 12 * kills;
  writeFileSync(join(world.folder, "many.jsonl"), promptRows("fire", count));
  const { handler, record } = fire(20_241);
  const server = await serve(handler);
  const shared = { url: server.url, concurrency, retries: 9, timeout_seconds: 5 };
  world.write({
    prompts: { file: "many.jsonl" },
    sampling: { n, max_tokens: 24 },
    sources: [
      { name: "whole", endpoint: { ...shared, model: "whole" } },
      { name: "streamed", endpoint: { ...shared, model: "streamed", stream: true } },
      { name: "messages", endpoint: { ...shared, model: "messages", stream: true, format: "anthropic" } },
    ],
  });
  const folder = runFolder(world, "fire");
  let killed = 0;
  let lost = 0;
  let before = new Map<string, string[]>();
  for (;;) {
    record.begin();
    const had = record.given.size;
    let timer: NodeJS.Timeout | undefined;
    const { signal, text } = await toldRun(
      world.folder,
      [folder, world.recipeFile, "finished sample"],
      (line, child) => {
        if (!line.startsWith("progress sample") || killed >= kills || timer !== undefined) return;
        timer = setTimeout(() => child.kill("SIGKILL"), Math.random() * 1500);
      },
    );
    clearTimeout(timer);
    expect(signal, text).toBe("SIGKILL");
    const whole = text.includes("finished sample");
    if (!whole) killed += 1;
    const after = await stored(folder);
    const size = (texts: ReadonlyMap<string, string[]>) =>
      [...texts.values()].reduce((sum, of) => sum + of.filter(Boolean).length, 0);
    // Nothing that was stored has gone or changed, and none of it was asked for.
    for (const [place, texts] of before)
      for (const [index, text] of texts.entries()) if (text) expect(after.get(place)![index]).toBe(text);
    for (const { model, prompt, n: wanted } of record.asked)
      expect(wanted).toBeLessThanOrEqual(n - (before.get(`${model} ${prompt}`)?.filter(Boolean).length ?? 0));
    // What the server gave and the ledger lacks was under way at the kill.
    const missed = record.given.size - had - (size(after) - size(before));
    expect(missed).toBeLessThanOrEqual(whole ? 0 : 3 * concurrency * n);
    lost += missed;
    before = after;
    if (whole) break;
  }
  expect(before.size).toBe(3 * count);
  for (const texts of before.values()) expect(texts.filter(Boolean)).toHaveLength(n);
  const all = [...before.values()].flat();
  expect(new Set(all).size).toBe(all.length);
  for (const [place, texts] of before)
    for (const text of texts) {
      const { model, prompt } = record.given.get(text)!;
      expect(place).toBe(`${model} ${prompt}`);
    }
  expect(record.given.size).toBe(all.length + lost);
  if (process.env.AMALGAM_KILLS !== undefined)
    console.log({
      killed,
      responses: all.length,
      calls: record.calls(),
      lost,
      faults: Object.fromEntries(record.faults),
    });
  for (const [fault, times] of record.faults) expect(times, fault).toBeGreaterThan(0);
});

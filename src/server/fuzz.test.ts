import { setTimeout as sleep } from "node:timers/promises";
import OpenAI from "openai";
import { expect, test } from "vitest";
import { hostileRequest } from "./testing/hostile-requests.ts";
import { testKey, tinyServer } from "./testing/tiny-server.ts";

/** `AMALGAM_FUZZ_REQUESTS=10000` for the whole of it. */
const count = Number(process.env.AMALGAM_FUZZ_REQUESTS ?? 400);
const large = count > 1000 ? 100 * 2 ** 20 : 3 * 2 ** 20;
const together = 24;

test(
  `${count} hostile requests are answered with errors in OpenAI's form, and leave nothing behind`,
  async () => {
    const limits = { body_mib: 2, receive_seconds: 1, cache_mib: 8 };
    const server = await tinyServer(["qwen2"], { limits });
    const url = new URL(server.url);
    const faults: string[] = [];
    const statuses = new Map<string, number>();
    let next = 0;
    const work = async (until: number) => {
      while (next < until) {
        const seed = next++;
        const { kind, send } = hostileRequest(seed, large);
        try {
          const outcome = await send(url);
          const status = outcome?.status ?? 0;
          const label = `${kind}: ${status === 0 ? "closed" : status}`;
          statuses.set(label, (statuses.get(label) ?? 0) + 1);
          if (outcome === undefined) continue;
          const { error } = JSON.parse(outcome.body) as { error: Record<string, unknown> };
          const fine =
            status >= 400 &&
            status < 500 &&
            typeof error.message === "string" &&
            error.message !== "" &&
            typeof error.type === "string" &&
            "param" in error &&
            "code" in error;
          if (!fine) faults.push(`${seed} ${kind}: ${status} ${outcome.body.slice(0, 200)}`);
        } catch (error) {
          faults.push(`${seed} ${kind}: ${String(error)}`);
        }
      }
    };
    const memory = () => {
      global.gc?.();
      return process.memoryUsage().rss / 2 ** 20;
    };
    await Promise.all(Array.from({ length: together }, () => work(Math.min(count, 1000))));
    const before = memory();
    await Promise.all(Array.from({ length: together }, () => work(count)));
    if (count > 1000) {
      console.log(
        [...statuses]
          .sort()
          .map(([label, times]) => `${label} x ${times}`)
          .join("\n"),
      );
      console.log(`resident after 1000 requests: ${before.toFixed(0)} MiB, after ${count}: ${memory().toFixed(0)} MiB`);
    }
    expect(faults).toEqual([]);
    expect(server.log.filter(({ level }) => (level as number) >= 50)).toEqual([]);

    // What hung up is not computed any more, and the server serves on.
    const client = new OpenAI({ baseURL: server.base, apiKey: testKey, maxRetries: 0 });
    const answer = await client.completions.create({ model: "tiny-qwen2", prompt: "one", max_tokens: 3 });
    expect(answer.choices).toHaveLength(1);
    const metrics = async () => {
      const text = await (
        await fetch(`${server.url}/metrics`, { headers: { authorization: `Bearer ${testKey}` } })
      ).text();
      return ["amalgam_responses_running", "amalgam_prompts_waiting", "amalgam_cache_tokens_used"].map((name) =>
        Number(
          text
            .split("\n")
            .find((line) => line.startsWith(name))
            ?.split(" ")
            .at(-1),
        ),
      );
    };
    for (let tries = 0; tries < 100 && (await metrics()).some((value) => value > 0); tries++) await sleep(20);
    expect(await metrics()).toEqual([0, 0, 0]);
    await server.close();
  },
  count * 200 + 60_000,
);

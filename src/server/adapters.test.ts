import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { tinyFigures } from "../models/testing/tiny-model.ts";
import { type TinyServer, testKey, tinyServer } from "./testing/tiny-server.ts";

const fixture = (name: string) => fileURLToPath(new URL(`../models/fixtures/${name}`, import.meta.url));
/** Log-probs of the adapted model by PEFT, for the responses of the first bundle of its base. */
const truth = JSON.parse(readFileSync(`${fixture("lora-plain")}.json`, "utf8")) as { logps: number[][] };
const { prompt, responses } = tinyFigures("llama").bundles[0]!;

const root = mkdtempSync(join(tmpdir(), "amalgam-adapters-"));
let server: TinyServer;
let client: OpenAI;
beforeAll(async () => {
  cpSync(fixture("lora-plain"), join(root, "plain"), { recursive: true });
  cpSync(fixture("lora-dora"), join(root, "dora"), { recursive: true });
  symlinkSync(tmpdir(), join(root, "out"));
  const adapters = [{ name: "first", folder: join(root, "plain"), model: "tiny-llama" }];
  server = await tinyServer(["llama", "qwen2"], { adapters, adapterRoot: root });
  client = new OpenAI({ baseURL: server.base, apiKey: testKey, maxRetries: 0 });
});
afterAll(async () => {
  await server.close();
  rmSync(root, { recursive: true });
});

const names = async () => (await client.models.list()).data.map(({ id }) => id);
const logProbs = async (model: string) => {
  const prompts = responses.map(({ ids }) => [...prompt, ...ids]);
  const { choices } = await client.completions.create({
    model,
    prompt: prompts,
    echo: true,
    logprobs: 0,
    max_tokens: 0,
  });
  return choices.map(({ logprobs }) => logprobs!.token_logprobs!.slice(prompt.length) as number[]);
};
const load = (body: object) => client.post("/load_lora_adapter", { body });

describe("adapters", () => {
  test("are models beside their base, with PEFT's log-probs", async () => {
    expect(await names()).toEqual(["tiny-llama", "tiny-qwen2", "first"]);
    const [adapted, base] = [await logProbs("first"), await logProbs("tiny-llama")];
    for (const [i, expected] of truth.logps.slice(0, responses.length).entries())
      for (const [k, logp] of expected.entries()) expect(adapted[i]![k]).toBeCloseTo(logp, 3);
    for (const [i, { logps }] of responses.entries())
      for (const [k, logp] of logps.entries()) expect(base[i]![k]).toBeCloseTo(logp, 3);
  });

  test("come and go while the server runs, and what is under way ends first", async () => {
    await load({ lora_name: "second", lora_path: "plain", base_model_name: "tiny-llama", cache_mib: 0.06 });
    const room = async (model: string) =>
      ((await client.models.retrieve(model)) as { max_model_len?: number }).max_model_len!;
    expect(await room("second")).toBeLessThan(await room("first"));
    expect(await names()).toContain("second");
    expect(await logProbs("second")).toEqual(await logProbs("first"));
    const request = { model: "second", prompt: [5, 6, 7], max_tokens: 60, temperature: 0, ignore_eos: true };
    const stream = await client.completions.create({ ...request, stream: true });
    const pieces = stream[Symbol.asyncIterator]();
    await pieces.next();
    await client.post("/unload_lora_adapter", { body: { lora_name: "second" } });
    await expect(client.completions.create(request)).rejects.toMatchObject({ status: 404 });
    let finish: string | null | undefined;
    for (let next = await pieces.next(); !next.done; next = await pieces.next())
      finish = next.value.choices[0]?.finish_reason ?? finish;
    expect(finish).toBe("length");
    expect(await names()).not.toContain("second");
  });

  test("give back their own memory when they go, and no other", async () => {
    const tensors = async () => {
      const answer = await fetch(`${server.url}/metrics`, { headers: { authorization: `Bearer ${testKey}` } });
      return Number(/^amalgam_tensor_bytes (\d+)$/m.exec(await answer.text())?.[1]);
    };
    const base = await tensors();
    expect(base).toBeGreaterThan(0);
    for (let round = 0; round < 3; round++) {
      await load({ lora_name: "third", lora_path: "plain", base_model_name: "tiny-llama" });
      await client.completions.create({ model: "third", prompt: [5, 6, 7], max_tokens: 5, temperature: 0 });
      // Its room for keys and values is the least that it takes.
      expect(await tensors()).toBeGreaterThan(base + 2 ** 20);
      await client.post("/unload_lora_adapter", { body: { lora_name: "third" } });
      for (let tries = 0; tries < 200 && (await tensors()) > base; tries++) await sleep(10);
      expect(await tensors()).toBe(base);
    }
  });

  test("are refused where they don't fit, don't exist, or lie outside of the folder for them", async () => {
    for (const body of [
      { lora_name: "x", lora_path: "plain" },
      { lora_name: "x", lora_path: "plain", base_model_name: "tiny-qwen2" },
      { lora_name: "x", lora_path: "missing", base_model_name: "tiny-llama" },
      { lora_name: "x", lora_path: "..", base_model_name: "tiny-llama" },
      { lora_name: "x", lora_path: "out", base_model_name: "tiny-llama" },
      { lora_name: "x", lora_path: "/", base_model_name: "tiny-llama" },
      { lora_name: "first", lora_path: "plain", base_model_name: "tiny-llama" },
      { lora_name: "a b", lora_path: "plain", base_model_name: "tiny-llama" },
    ])
      await expect(load(body)).rejects.toMatchObject({ status: 400 });
    for (const name of ["tiny-llama", "nobody"])
      await expect(client.post("/unload_lora_adapter", { body: { lora_name: name } })).rejects.toThrow();
    expect(await names()).toEqual(["tiny-llama", "tiny-qwen2", "first"]);
  });
});

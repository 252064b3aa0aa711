import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { embeddedSource } from "../generation/index.ts";
import { openModel } from "../models/index.ts";
import { testModel } from "../models/testing/test-model.ts";
import { LedgerError, type Message, modelSchema } from "../schema/index.ts";
import { type Chat, openChat } from "./chat.ts";

let file: string;
let chat: Chat;
const never = new AbortController().signal;
// In bf16 what a text has in common with an earlier one, and is not computed again, may tip a token.
const precision = "fp32";
const greedy = { temperature: 0, topP: 1, maxTokens: 24, precision } as const;

beforeAll(async () => {
  file = await testModel("smollm2");
  chat = await openChat(file, greedy);
});
afterAll(() => chat.close());

/** The greedy answer of the same model as a source of a run. */
async function answerOfSource(messages: readonly Message[]): Promise<string> {
  const model = await openModel(modelSchema.parse({ model: file, precision }), { baseFolder: "/" });
  const source = embeddedSource("model", model);
  const sampling = { temperature: 0, top_p: 1, top_k: 0, max_tokens: 24, stop: [], seed: 1 };
  try {
    for await (const outcome of source.sample([{ promptId: "p", messages, indices: [0] }], sampling, never)) {
      if ("text" in outcome) return outcome.text;
    }
    throw new Error("no answer");
  } finally {
    await source.close();
  }
}

async function reply(text: string, signal = never): Promise<string[]> {
  const pieces: string[] = [];
  for await (const piece of chat.reply(text, signal)) pieces.push(piece);
  return pieces;
}

describe("a conversation", () => {
  test("comes in pieces that make up what the model answers as a source, turn after turn", async () => {
    const asked: Message[] = [{ role: "user", content: "Name three colours." }];
    const first = await reply("Name three colours.");
    expect(first.length).toBeGreaterThan(3);
    expect(first.join("")).toBe(await answerOfSource(asked));
    const next: Message[] = [
      ...asked,
      { role: "assistant", content: first.join("") },
      { role: "user", content: "Which one is the sky?" },
    ];
    const second = (await reply("Which one is the sky?")).join("");
    expect(second).toBe(await answerOfSource(next));
    expect(chat.messages).toEqual([...next, { role: "assistant", content: second }]);
    chat.reset();
    expect(chat.messages).toEqual([]);
    expect((await reply("Name three colours.")).join("")).toBe(first.join(""));
  });

  test("an answer that is stopped stays as far as it came, and the next turn goes on", async () => {
    chat.reset();
    const stop = new AbortController();
    const pieces: string[] = [];
    for await (const piece of chat.reply("Tell a long story.", stop.signal)) {
      pieces.push(piece);
      if (pieces.length === 3) stop.abort();
    }
    expect(pieces.length).toBeGreaterThanOrEqual(3);
    expect(pieces.length).toBeLessThan(24);
    expect(chat.messages.at(-1)).toEqual({ role: "assistant", content: pieces.join("") });
    // Leaving the loop stops the answer too.
    for await (const piece of chat.reply("Tell another.", never)) {
      expect(piece).not.toBe("");
      break;
    }
    expect(chat.messages).toHaveLength(4);
  });

  test("that has outgrown the context is refused, and can be begun anew", async () => {
    chat.reset();
    await expect(reply("word ".repeat(9000))).rejects.toThrow(
      /the conversation has \d+ tokens, the context of .* 8192/,
    );
    expect(chat.messages).toEqual([]);
  });
});

test("a run without a fused model is refused", async () => {
  const folder = mkdtempSync(join(tmpdir(), "chat-"));
  writeFileSync(join(folder, "run.db"), "");
  await expect(openChat(folder, greedy)).rejects.toThrow(LedgerError);
  rmSync(folder, { recursive: true });
});

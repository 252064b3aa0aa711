import { createInterface } from "node:readline/promises";
import type { Chat } from "../pipeline/index.ts";
import { describeError } from "../schema/index.ts";

const help = "/new begins a new conversation, /exit (or Ctrl-D) ends the program, Ctrl-C stops an answer.";

/** Answers what is piped in, once. */
export async function chatOnce(chat: Chat, signal: AbortSignal): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin) chunks.push(Buffer.from(chunk as Uint8Array));
  const text = Buffer.concat(chunks).toString("utf8").trim();
  if (text === "") return;
  for await (const piece of chat.reply(text, signal)) process.stdout.write(piece);
  process.stdout.write("\n");
}

/** A conversation on the terminal, until /exit or the end of input. */
export async function chatLoop(chat: Chat): Promise<void> {
  const lines = createInterface({ input: process.stdin, output: process.stdout, terminal: true });
  let answering: AbortController | undefined;
  const ended = new AbortController();
  lines.on("SIGINT", () => {
    if (answering === undefined) ended.abort();
    else answering.abort();
  });
  lines.on("close", () => ended.abort());
  process.stdout.write(`${chat.label}. ${help}\n`);
  try {
    while (!ended.signal.aborted) {
      const text = await ask(lines, ended.signal);
      if (text === undefined || text === "/exit") return;
      if (text === "") continue;
      if (text === "/new") {
        chat.reset();
        process.stdout.write("A new conversation.\n");
      } else if (text.startsWith("/")) process.stdout.write(`${help}\n`);
      else {
        answering = new AbortController();
        try {
          for await (const piece of chat.reply(text, answering.signal)) process.stdout.write(piece);
        } catch (error) {
          process.stdout.write(describeError(error));
        }
        answering = undefined;
        process.stdout.write("\n");
      }
    }
  } finally {
    lines.close();
  }
}

/** A line of the user; undefined at the end of input. */
async function ask(lines: ReturnType<typeof createInterface>, signal: AbortSignal): Promise<string | undefined> {
  try {
    return (await lines.question("> ", { signal })).trim();
  } catch (error) {
    if (signal.aborted) return undefined;
    throw error;
  }
}

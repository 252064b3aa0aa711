import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { endpointSchema } from "../../../schema/index.ts";
import {
  completion,
  type Handler,
  openAiError,
  sendJson,
  type TestChoice,
} from "../../../sources/testing/local-server.ts";
import { openLedger } from "../../../store/index.ts";
import { silent } from "../../events.ts";
import { lazySource } from "../../lazy-source.ts";
import type { Answering, Contestant, Evaluation } from "../evaluation.ts";

export const newFolder = (): string => mkdtempSync(join(tmpdir(), "amalgam-judged-"));

/** A file of JSON lines. */
export function writeLines(folder: string, name: string, rows: readonly unknown[], end = "\n"): string {
  const file = join(folder, name);
  writeFileSync(file, rows.map((row) => JSON.stringify(row) + end).join(""));
  return file;
}

/** Opens an evaluation in a folder, does something with it and closes it, whatever comes of it. */
export async function withEvaluation<Result>(
  folder: string,
  work: (evaluation: Evaluation) => Promise<Result>,
  signal = new AbortController().signal,
): Promise<Result> {
  const ledger = await openLedger(folder);
  try {
    return await work({ folder, seed: 42, bootstrap: 200, ledger, listener: silent, signal, account: undefined });
  } finally {
    await ledger.close();
  }
}

/** Who answers at a local server, one call at a time. */
export async function answeringAt(url: string, model: string, concurrency = 1): Promise<Answering> {
  const endpoint = endpointSchema.parse({ url, model, concurrency, retries: 0, timeout_seconds: 10 });
  const run = { baseFolder: ".", listener: silent, model: () => Promise.reject(new Error("no model is here")) };
  return { name: model, source: await lazySource(run, { name: model, endpoint }, undefined), endpoint };
}

export const contestant = (answering: Answering): Contestant => ({ name: answering.name, answering, outputs: {} });

/** What a scripted model says to a conversation: a text, a whole choice, or the status of an error. */
export type Script = (
  text: string,
  conversation: readonly { role: string; content: string }[],
) => string | TestChoice | number;

/** A server of scripted models, which keeps every conversation that it answered. */
export function scripted(models: Readonly<Record<string, Script>>) {
  const answered: string[] = [];
  const handler: Handler = ({ body }, answer) => {
    const said = models[String(body.model)]!(body.messages.at(-1)!.content, body.messages);
    if (typeof said === "number") return sendJson(answer, said, openAiError("out of order"));
    answered.push(JSON.stringify([body.model, body.messages]));
    sendJson(answer, 200, completion([said]));
  };
  return { handler, answered };
}

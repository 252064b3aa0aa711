import { createHash } from "node:crypto";
import { z } from "zod";
import {
  DataError,
  issueWords,
  readJsonLines,
  type SampledResponse,
  type SampleOutcome,
  type Source,
} from "../schema/index.ts";
import { estimatedTokens } from "./tokens.ts";

const rowSchema = z.strictObject({
  prompt_id: z.string().min(1),
  /** Which of the prompt's responses; if left out, the next free one in the file's order. */
  index: z.int().min(0).optional(),
  text: z.string().refine((text) => text.trim() !== "", "the response is empty"),
  finish: z.enum(["stop", "length"]).default("stop"),
  /** If left out, one token for four bytes. */
  prompt_tokens: z.int().min(0).optional(),
  response_tokens: z.int().min(0).optional(),
});
type Row = z.infer<typeof rowSchema>;

type Kept = Pick<SampledResponse, "text" | "finish" | "responseTokens"> & { readonly promptTokens: number | undefined };

/**
 * Responses that were recorded elsewhere as a source: a JSONL file, a row a response:
 * `{"prompt_id", "index"?, "text", "finish"?, "prompt_tokens"?, "response_tokens"?}`. Sampling settings have no effect;
 * a response that the file lacks is a SampleFailure. The identity is the digest of the file, so that an edited file is
 * another source. Throws DataError with file and line for an unreadable file, a broken row, and an index given twice.
 */
export async function openRecorded(name: string, file: string): Promise<Source> {
  const hash = createHash("sha256");
  const responses = new Map<string, Map<number, Kept>>();
  for await (const { line, value } of readJsonLines(file, (bytes) => hash.update(bytes)))
    keep(responses, parseRow(value, file, line), file, line);
  return {
    name,
    identity: hash.digest("hex").slice(0, 32),
    async *sample(requests, _sampling, signal) {
      for (const { promptId, messages, indices } of requests) {
        for (const index of indices) {
          if (signal.aborted) return;
          const kept = responses.get(promptId)?.get(index);
          const promptBytes = messages.reduce((sum, { content }) => sum + Buffer.byteLength(content), 0);
          const outcome: SampleOutcome =
            kept === undefined
              ? { promptId, index, failure: `${file} has no response ${index} to prompt ${promptId}` }
              : { promptId, index, ...kept, promptTokens: kept.promptTokens ?? estimatedTokens(promptBytes) };
          yield outcome;
        }
      }
    },
    close: async () => responses.clear(),
  };
}

function keep(responses: Map<string, Map<number, Kept>>, row: Row, file: string, line: number): void {
  const ofPrompt = responses.get(row.prompt_id) ?? new Map<number, Kept>();
  responses.set(row.prompt_id, ofPrompt);
  let index = row.index ?? 0;
  if (row.index === undefined) while (ofPrompt.has(index)) index += 1;
  if (ofPrompt.has(index)) {
    throw new DataError(`response ${index} to prompt ${row.prompt_id} is there twice`, {
      file,
      line,
      field: "index",
      hint: "Give each response of a prompt its own index, or leave all of them out.",
    });
  }
  const { text, finish, prompt_tokens: promptTokens, response_tokens } = row;
  const responseTokens = response_tokens ?? estimatedTokens(Buffer.byteLength(text));
  ofPrompt.set(index, { text, finish, promptTokens, responseTokens });
}

function parseRow(value: unknown, file: string, line: number): Row {
  const row = rowSchema.safeParse(value);
  if (row.success) return row.data;
  const issue = row.error.issues[0]!;
  throw new DataError(issueWords(issue, value).message, {
    file,
    line,
    field: issue.path.join("."),
    hint: 'A row is {"prompt_id", "index"?, "text", "finish"?, "prompt_tokens"?, "response_tokens"?}.',
  });
}

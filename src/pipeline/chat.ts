import { randomInt } from "node:crypto";
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { Engine, randomStream } from "../generation/index.ts";
import { disposeModel, type LocateOptions, openModel } from "../models/index.ts";
import { DataError, LedgerError, type Message, ModelError, modelSchema, type Precision } from "../schema/index.ts";
import { hasLedger } from "../store/index.ts";
import { runPaths } from "./run.ts";

export interface ChatOptions extends Pick<LocateOptions, "offline" | "progress"> {
  readonly temperature: number;
  readonly topP: number;
  /** Most tokens of an answer. */
  readonly maxTokens: number;
  /** What to compute in; what this machine is fast at unless given. In bf16 an answer may differ where it is asked for again. */
  readonly precision?: Precision;
  /** Names the random streams; another one each time unless given. */
  readonly seed?: number;
}

/** A conversation with a model. */
export interface Chat {
  readonly label: string;
  /** The conversation so far. */
  readonly messages: readonly Message[];
  /**
   * Answers a turn of the user, piece by piece as the tokens come. An answer that the signal cuts off stays in the
   * conversation as far as it came. Throws DataError when the conversation has outgrown the model's context.
   */
  reply(text: string, signal: AbortSignal): AsyncGenerator<string>;
  /** Forgets the conversation. */
  reset(): void;
  close(): Promise<void>;
}

/**
 * What `chat` and `serve` may be given: a run folder stands for its fused model, anything else is a model as recipes name it.
 * @throws LedgerError for a run without fused model
 */
export function fusedOrModel(reference: string): string {
  const folder = resolve(reference);
  if (!hasLedger(folder)) return reference;
  const { fusedModel } = runPaths(folder);
  if (existsSync(fusedModel)) return fusedModel;
  throw new LedgerError("the run has no fused model yet", {
    file: folder,
    hint: `\`amalgam status ${reference}\` shows how far it is, \`amalgam run ${reference}\` takes it to the end.`,
  });
}

/**
 * Opens a model, or the fused model of a run folder, for a conversation.
 *
 * @throws ModelError when there is no such model or it has no chat template; LedgerError for a run without fused model.
 */
export async function openChat(reference: string, options: ChatOptions): Promise<Chat> {
  const { temperature, topP, maxTokens, precision, seed = randomInt(2 ** 31), ...locating } = options;
  const recipe = modelSchema.parse({ model: fusedOrModel(reference), precision });
  const model = await openModel(recipe, { ...locating, baseFolder: process.cwd() });
  const { tokenizer } = model;
  if (!tokenizer.hasChatTemplate) {
    disposeModel(model);
    throw new ModelError(`${model.label} has no chat template: it is a base model, not tuned for conversations`, {
      hint: "Take its instruction-tuned version.",
    });
  }
  const engine = new Engine(model.decoder, { rows: 1 });
  let messages: Message[] = [];
  let turns = 0;
  return {
    label: model.label,
    get messages() {
      return messages;
    },
    async *reply(text, signal) {
      const asked: Message[] = [...messages, { role: "user", content: text }];
      const prompt = tokenizer.encodePrompt(asked);
      const room = engine.room - prompt.length;
      if (room < 1) {
        throw new DataError(
          `the conversation has ${prompt.length} tokens, the context of ${model.label} ${engine.room}`,
          { hint: "Begin a new one: /new" },
        );
      }
      const spelling = tokenizer.createDecoder({ skipSpecial: true });
      const events = engine.submit(
        {
          prompt,
          streams: [randomStream(seed, turns++)],
          sampler: { temperature, topP, topK: 0 },
          maxTokens: Math.min(maxTokens, room),
          endIds: new Set(tokenizer.stopIds),
        },
        signal,
      );
      let answer = "";
      try {
        for await (const event of events) {
          const piece = event.kind === "token" ? spelling.push(event.id) : event.kind === "end" ? spelling.end() : "";
          answer += piece;
          if (piece !== "") yield piece;
        }
      } finally {
        messages = [...asked, { role: "assistant", content: answer }];
      }
    },
    reset() {
      messages = [];
    },
    async close() {
      await engine.close();
      disposeModel(model);
    },
  };
}

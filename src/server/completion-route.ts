import { answer, frameOf, usage } from "./answering.ts";
import { badRequest } from "./api-error.ts";
import { type Call, noteText, noteTurn, type Service } from "./call.ts";
import { type Drawn, type DrawnToken, draw } from "./drawing.ts";
import { drawFor, promptIds } from "./preparing.ts";
import { type CompletionRequest, completionSchema } from "./request-fields.ts";
import type { ServedModel } from "./served-models.ts";
import { type LogProbColumns, logProbColumns } from "./token-words.ts";

const defaultTokens = 16;

/** Some more of a choice. */
interface Piece {
  readonly choice: number;
  readonly text: string;
  readonly logprobs: LogProbColumns | null;
  readonly finish: string | null;
}

/** `POST /v1/completions` */
export const completions = (service: Service, call: Call, failed: (error: unknown) => unknown): Promise<Response> =>
  answer(service, call, failed, completionSchema, (service, call, model, request) => {
    const { frame, pieces, counts, ranked } = prepare(service, call, model, request);
    return {
      async whole() {
        const choices = ranked(await gathered(pieces, counts.choices)).map(({ text, logprobs, finish }, index) => ({
          ...{ index, text, logprobs, finish_reason: finish },
        }));
        return { ...frame, choices, usage: usage(counts.promptTokens, counts.responseTokens) };
      },
      async *parts() {
        const includeUsage = request.stream_options?.include_usage === true;
        const none = includeUsage ? { usage: null } : {};
        for await (const { choice, text, logprobs, finish } of pieces)
          yield { ...frame, choices: [{ index: choice, text, logprobs, finish_reason: finish }], ...none };
        if (includeUsage) yield { ...frame, choices: [], usage: usage(counts.promptTokens, counts.responseTokens) };
      },
    };
  });

function prepare(service: Service, call: Call, model: ServedModel, request: CompletionRequest) {
  const { n = 1, best_of: bestOf = n, echo = false, logprobs, stream } = request;
  if (bestOf < n) throw badRequest(`\`best_of\` is ${bestOf}, and must be at least \`n\`, ${n}`, "best_of");
  if (bestOf > n && stream === true) throw badRequest("the best of several can't be streamed", "best_of");
  const prompts = promptIds(model, request.prompt, "prompt");
  const wanted = drawFor(model, service, request, {
    prompts: prompts.map(({ ids }) => ids),
    ...{
      promptField: "prompt",
      responses: bestOf,
      maxTokens: request.max_tokens,
      maxTokensField: "max_tokens",
      defaultTokens,
    },
  });
  const told = logprobs ?? (bestOf > n ? 0 : undefined);
  const asked = {
    ...wanted,
    ...(told === undefined ? {} : { topLogProbs: told }),
    ...(echo && logprobs !== undefined ? { promptLogProbs: true } : {}),
  };
  const counts = {
    choices: prompts.length * bestOf,
    promptTokens: prompts.reduce((sum, { ids }) => sum + ids.length, 0),
    responseTokens: 0,
  };
  call.facts.promptTokens = counts.promptTokens;
  const frame = { ...frameOf("cmpl", call, model, request.model), object: "text_completion" };
  const means = new Array<number>(counts.choices).fill(0);
  const context = { client: call.client, queue: service.queue, started: () => noteTurn(service, call) };
  return { frame, counts, pieces: pieces(draw(model, asked, context, call.signal)), ranked };

  async function* pieces(events: AsyncGenerator<Drawn>): AsyncGenerator<Piece> {
    const columns = Array.from({ length: counts.choices }, () => logProbColumns(model.tokenizer));
    const lengths = new Array<number>(counts.choices).fill(0);
    for await (const event of events) {
      if (event.kind === "prompt") {
        if (!echo) continue;
        const { ids, text } = prompts[event.prompt]!;
        const shown = text ?? model.tokenizer.decode(ids);
        for (let k = 0; k < bestOf; k++) {
          const choice = event.prompt * bestOf + k;
          yield { choice, text: shown, logprobs: promptColumns(choice, ids, text, event.logProbs), finish: null };
          columns[choice]!.startAt(shown.length, true);
        }
      } else if (event.kind === "text") {
        noteText(service, call);
        const { choice, text, tokens } = event;
        counts.responseTokens += tokens.length;
        call.facts.responseTokens = counts.responseTokens;
        means[choice]! += tokens.reduce((sum, { logProb }) => sum + (logProb?.logProb ?? 0), 0);
        lengths[choice]! += tokens.length;
        yield { choice, text, logprobs: logprobs === undefined ? null : columns[choice]!.add(tokens), finish: null };
      } else {
        const { choice, finish, ending } = event;
        means[choice]! /= Math.max(1, lengths[choice]!);
        // As OpenAI's and vLLM's: the token that ends a text has a log-prob and no text. lm-evaluation-harness counts on it.
        const last = ending === undefined || logprobs === undefined ? [] : [{ id: ending.id, logProb: ending }];
        yield { choice, text: "", logprobs: last.length === 0 ? null : columns[choice]!.add(last), finish };
      }
    }

    function promptColumns(
      choice: number,
      ids: readonly number[],
      text: string | undefined,
      logProbs: readonly (DrawnToken["logProb"] | null)[],
    ) {
      if (logprobs === undefined) return null;
      const own = columns[choice]!;
      const tokens = ids.map((id, at) => ({ id, logProb: logProbs[at] }));
      // BOS was put before the text, and is no part of it.
      const added =
        text !== undefined &&
        ids[0] === model.tokenizer.bosId &&
        model.tokenizer.encode(text, { special: true })[0] !== ids[0];
      if (!added) return own.add(tokens);
      const before = own.add(tokens.slice(0, 1));
      own.startAt(0, false);
      return joined(before, own.add(tokens.slice(1)));
    }
  }

  /** The `n` best of each prompt's choices, by the mean log-prob of their tokens. */
  function ranked<Choice>(choices: readonly Choice[]): Choice[] {
    if (bestOf === n) return [...choices];
    return prompts.flatMap((_, prompt) =>
      Array.from({ length: bestOf }, (_, k) => prompt * bestOf + k)
        .sort((a, b) => means[b]! - means[a]!)
        .slice(0, n)
        .map((choice) => choices[choice]!),
    );
  }
}

interface WholeChoice {
  text: string;
  logprobs: LogProbColumns | null;
  finish: string | null;
}

async function gathered(pieces: AsyncIterable<Piece>, count: number): Promise<WholeChoice[]> {
  const choices = Array.from({ length: count }, (): WholeChoice => ({ text: "", logprobs: null, finish: null }));
  for await (const { choice, text, logprobs, finish } of pieces) {
    const whole = choices[choice]!;
    whole.text += text;
    if (logprobs !== null) whole.logprobs = whole.logprobs === null ? logprobs : joined(whole.logprobs, logprobs);
    whole.finish = finish ?? whole.finish;
  }
  return choices;
}

/** The columns of `more` put to those of `columns`, which is given back. */
function joined(columns: LogProbColumns, more: LogProbColumns): LogProbColumns {
  for (const token of more.tokens) columns.tokens.push(token);
  for (const value of more.token_logprobs) columns.token_logprobs.push(value);
  for (const top of more.top_logprobs) columns.top_logprobs.push(top);
  for (const offset of more.text_offset) columns.text_offset.push(offset);
  return columns;
}

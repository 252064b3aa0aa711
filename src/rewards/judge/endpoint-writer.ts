import { type EndpointRecipe, SourceError } from "../../schema/index.ts";
import type { ChatCompletion, EndpointClient, EndpointOptions } from "../../sources/index.ts";
import { endpointReading } from "./endpoint-reading.ts";
import type { JudgeReader } from "./judge.ts";
import type { Scale } from "./scale.ts";
import { answerSchema, mostTokens, readWritten, type WrittenAnswer } from "./written-form.ts";

/**
 * A model behind a server as a judge that writes its answer, at temperature 0, held to its form by `response_format`. No log-probs are
 * needed. An answer that has another form all the same, from a server that does not keep to the field, is a failure.
 * Reading throws EnvironmentError when the key is missing, SourceError where the server refuses the field.
 */
export function endpointWriter(
  recipe: EndpointRecipe,
  scale: Scale,
  answer: WrittenAnswer,
  field: string,
  options: EndpointOptions = {},
): JudgeReader {
  const request = {
    max_tokens: mostTokens[answer],
    temperature: 0,
    response_format: {
      type: "json_schema",
      json_schema: { name: "judgement", strict: true, schema: answerSchema(answer, scale) },
    },
  };
  return endpointReading(
    recipe,
    options,
    async (client, { messages }, signal) =>
      readCompletion(client, await client.chatCompletion({ messages, ...request }, signal), scale),
    (error) =>
      new SourceError(`${error.message}: it can't be a judge that writes its answer`, {
        field: `${field}.answer`,
        hint: "Take a server that knows `response_format` with a JSON schema, `answer: probabilities`, or a judge on this machine: `model` in place of `endpoint`.",
        cause: error,
      }),
  );
}

function readCompletion(client: EndpointClient, { choices }: ChatCompletion, scale: Scale) {
  const failure = (words: string) => ({ failure: `${client.url}: ${client.clean(words)}` });
  const [choice] = choices;
  if (choice === undefined) return failure("the answer has no choices");
  const { message, finish_reason } = choice;
  if (finish_reason === "content_filter") return failure("a content filter held the rating back");
  if (message.refusal) return failure("the judge refused to rate");
  if (finish_reason === "length") return failure("the judge's answer was cut off");
  const read = readWritten(message.content ?? "", scale);
  return "failure" in read ? failure(read.failure) : read;
}

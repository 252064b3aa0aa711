import type { z } from "zod";
import type { Call, Service } from "./call.ts";
import { readBody } from "./preparing.ts";
import type { ServedModel } from "./served-models.ts";
import { begun, eventStream } from "./sse.ts";

/** An answer that is still to be written: all of it at once, or in parts as they come. */
interface Answer {
  whole(): Promise<object>;
  parts(): AsyncGenerator<object>;
}

type RequestSchema = z.ZodType<{ readonly model: string; readonly stream?: boolean | undefined }>;

/**
 * Reads a request for texts and answers it. The model is in use until the answer has ended; what goes wrong before the first part
 * is thrown, what goes wrong later is the stream's last event, as `failed` tells it.
 */
export async function answer<Schema extends RequestSchema>(
  service: Service,
  call: Call,
  failed: (error: unknown) => unknown,
  schema: Schema,
  prepare: (service: Service, call: Call, model: ServedModel, request: z.output<Schema>) => Answer,
): Promise<Response> {
  const request = await readBody(schema, call, service);
  const { model, release } = service.models.use(request.model);
  call.facts.model = request.model;
  try {
    const { whole, parts } = prepare(service, call, model, request);
    if (request.stream === true) return eventStream(await begun(parts(), release), failed);
    const answer = await whole();
    release();
    return Response.json(answer);
  } catch (error) {
    release();
    throw error;
  }
}

/** What the whole and each part of an answer begin with. */
export const frameOf = (prefix: string, { id }: Call, { fingerprint }: ServedModel, model: string) => ({
  ...{ id: `${prefix}-${id}`, created: Math.floor(Date.now() / 1000), model },
  system_fingerprint: fingerprint,
});

/** What was used, in OpenAI's form. */
export const usage = (promptTokens: number, responseTokens: number) => ({
  prompt_tokens: promptTokens,
  completion_tokens: responseTokens,
  total_tokens: promptTokens + responseTokens,
});

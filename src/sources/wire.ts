import { z } from "zod";
import { utf8Text } from "../schema/index.ts";

/** As OpenAI and Anthropic list their models, and as Gemini does. */
const modelsSchema = z.union([
  z.object({ data: z.array(z.object({ id: z.string() })) }).transform(({ data }) => data.map(({ id }) => id)),
  z
    .object({ models: z.array(z.object({ name: z.string() })) })
    .transform(({ models }) => models.map(({ name }) => name.replace(/^models\//, ""))),
]);

const text = z.string().nullish().catch(undefined);
const detailsSchema = z.object({
  message: text,
  type: text,
  param: text,
  code: z.union([z.string(), z.number()]).nullish().catch(undefined),
  status: text,
  /** TGI's, of errors within a stream. */
  http_status_code: z.number().nullish().catch(undefined),
  /** Google's: what exactly was wrong, and when to try again. */
  details: z
    .array(z.object({ reason: text, retryDelay: text }))
    .nullish()
    .catch(undefined),
  metadata: z
    .object({ reasons: z.array(z.unknown()).nullish() })
    .nullish()
    .catch(undefined),
});
/** What FastAPI writes of a body that it refuses: Mistral's, TGI's and many small servers' way. */
const invalidFields = z.array(z.object({ type: text, loc: z.array(z.unknown()).default([]), msg: text }));
const errorSchema = z.union([
  z.object({ error: z.union([z.string().transform((message) => ({ message })), detailsSchema]), error_type: text }),
  z.object({ detail: z.union([z.string(), invalidFields]) }),
  z.object({ message: z.union([z.string(), z.object({ detail: invalidFields })]) }),
]);

/** What a server says about a call that it refuses. */
export interface ServerError {
  readonly message: string;
  readonly type: string;
  readonly param: string | undefined;
  readonly code: string;
  /** How long to wait, where the body says so. */
  readonly waitMs: number | undefined;
  /** The input was held back by a moderation. */
  readonly moderated: boolean;
}

export type Parsed<T> = { readonly value: T } | { readonly fault: string };

/** JSON of these bytes, or what is wrong with them. The fault quotes nothing of them. */
export function parseJson(body: Uint8Array): Parsed<unknown> {
  if (body.length === 0) return { fault: "the answer is empty" };
  const content = utf8Text(body);
  if (content === undefined) return { fault: "the answer is not UTF-8" };
  try {
    return { value: JSON.parse(content) };
  } catch {
    const start = content.trimStart()[0];
    if (start === "{" || start === "[")
      return { fault: `the answer's JSON breaks off or is damaged (${body.length} bytes)` };
    if (start === "<") return { fault: "the answer is a web page, not JSON: the URL may not be an API's" };
    if (/^(data|event):/.test(content)) return { fault: "the answer is an event stream, which was not asked for" };
    return { fault: "the answer is not JSON" };
  }
}

/** The ids of `GET /models`. */
export function parseModels(value: unknown): Parsed<string[]> {
  return parsed(modelsSchema.safeParse(value), "a list of models");
}

/** The value, or which field of the answer is missing or wrong; `what` it should have been. */
export function parsed<T>(result: z.ZodSafeParseResult<T>, what: string): Parsed<T> {
  if (result.success) return { value: result.data };
  const issue = result.error.issues[0]!;
  const where = issue.path.length === 0 ? "" : ` at ${issue.path.join(".")}`;
  return { fault: `the answer is not ${what}: ${issue.message}${where}` };
}

/** The server's own words about a failure, in any of the usual shapes; `undefined` where there are none. */
export function parseError(value: unknown): ServerError | undefined {
  // Google's OpenAI-compatible server puts its error into a list.
  const result = errorSchema.safeParse(Array.isArray(value) ? value[0] : value);
  if (!result.success) return undefined;
  const { data } = result;
  if ("error" in data) {
    const details = detailsSchema.parse(data.error);
    return fromDetails({ ...details, type: details.type ?? data.error_type });
  }
  const detail = "detail" in data ? data.detail : data.message;
  if (typeof detail === "string") {
    const beside = detailsSchema.safeParse(value);
    return fromDetails({ ...(beside.success ? beside.data : {}), message: detail });
  }
  const fields = Array.isArray(detail) ? detail : detail.detail;
  return fromDetails({
    message: fields.map(({ loc, msg }) => `${loc.join(".")}: ${msg ?? "not valid"}`).join("; "),
    type: fields[0]?.type,
    param: String(fields[0]?.loc.at(-1) ?? ""),
  });
}

function fromDetails(details: Partial<z.infer<typeof detailsSchema>>): ServerError {
  const { message, type, param, code, metadata, status, http_status_code, details: more } = details;
  const delay = more?.map(({ retryDelay }) => /^(\d+(?:\.\d+)?)s$/.exec(retryDelay ?? "")?.[1]).find(Boolean);
  return {
    message: message ?? "",
    type: [type, status, ...(more ?? []).map(({ reason }) => reason)].filter(Boolean).join(" "),
    param: param ?? undefined,
    code: String(code ?? http_status_code ?? ""),
    waitMs: delay === undefined ? undefined : Number(delay) * 1000,
    moderated: (metadata?.reasons ?? []).length > 0,
  };
}

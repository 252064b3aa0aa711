import { z } from "zod";
import { ratingsOf, type Scale } from "./scale.ts";

/** How a judge gives its rating. */
export type JudgeAnswer = "probabilities" | "rating" | "reasoned";

/** Answers that are texts. */
export type WrittenAnswer = Exclude<JudgeAnswer, "probabilities">;

/** Most tokens of a judge's reasons, where it can be held to them. */
export const mostReasons = 150;

/** Most tokens of an answer. */
export const mostTokens: Readonly<Record<WrittenAnswer, number>> = { rating: 32, reasoned: 48 + mostReasons };

/** The JSON schema of a written answer: the reasons come before the rating, so that the rating follows from them. */
export function answerSchema(answer: WrittenAnswer, scale: Scale): Readonly<Record<string, unknown>> {
  const rating = { type: "integer", enum: ratingsOf(scale) };
  const properties = answer === "rating" ? { rating } : { reasons: { type: "string" }, rating };
  return { type: "object", properties, required: Object.keys(properties), additionalProperties: false };
}

/** The same as a pattern: JSON on one line, without escapes in the reasons. */
export function answerPattern(answer: WrittenAnswer, scale: Scale): string {
  const rating = `"rating": (${ratingsOf(scale).join("|")})`;
  return `\\{${answer === "rating" ? "" : '"reasons": "[^"\\\\\\x00-\\x1f]*", '}${rating}\\}`;
}

/** How the usual rubric asks for it. */
export const answerWords: Readonly<Record<JudgeAnswer, string>> = {
  probabilities: "Reply with this number and nothing else.",
  rating: 'Reply with JSON of this form and nothing else: {"rating": NUMBER}',
  reasoned: 'Reply with JSON of this form and nothing else: {"reasons": "one or two sentences", "rating": NUMBER}',
};

/** The rating of a written answer, or why there is none. */
export function readWritten(text: string, scale: Scale): { readonly rating: number } | { readonly failure: string } {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { failure: `the judge's answer is no JSON: ${shown(text)}` };
  }
  const read = z.object({ rating: z.int().min(scale[0]).max(scale[1]) }).safeParse(value);
  if (read.success) return { rating: read.data.rating };
  return { failure: `the judge's answer has no rating from ${scale[0]} to ${scale[1]}: ${shown(text)}` };
}

const shown = (text: string): string => JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text);

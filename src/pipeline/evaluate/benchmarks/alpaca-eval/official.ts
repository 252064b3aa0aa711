import { createHash } from "node:crypto";
import type { BenchmarkRecipeOf } from "../../../../schema/index.ts";
import type { Answering } from "../../evaluation.ts";
import type { JudgePrompt } from "./prompt.ts";
import type { QuestionSet } from "./questions.ts";

/** What AlpacaEval 2's published figures rest on (alpaca-eval 0.6.6), texts by their SHA-256. */
const published = {
  judge: "gpt-4-1106-preview",
  prompt: "784227e6dc2832fc08c43d2c8ea3a308e7523780187a1aaad2f85e30bac85f62",
  baseline: "gpt4_1106_preview",
  /** Of the 805 instructions in order, as a JSON list. */
  instructions: "d02007bfbcc8fcf624c641e8b70d53e82f7d0c061d12cf1b5695357e0d0090ce",
  /** Of the baseline's outputs to them, likewise. */
  outputs: "7b51dc1ccdf9d4321e8f64d53bcfcc602cf6a6dbab0fd4e71c1f469d9c1689ee",
};

const digest = (texts: readonly string[]): string => createHash("sha256").update(JSON.stringify(texts)).digest("hex");

/** Whether these are AlpacaEval's 805 instructions in their order, to whose places the difficulties belong. */
export const areOfficialQuestions = ({ questions }: QuestionSet): boolean =>
  digest(questions.map(({ instruction }) => instruction)) === published.instructions;

/** Whether figures may stand beside the published ones: the same questions, baseline, prompt and judge, read in the same way. */
export function isOfficial(
  recipe: Pick<BenchmarkRecipeOf<"alpaca_eval">, "preference">,
  set: QuestionSet,
  prompt: Pick<JudgePrompt, "sha256">,
  judge: Pick<Answering, "endpoint">,
): boolean {
  return (
    recipe.preference === "logprobs" &&
    judge.endpoint?.model === published.judge &&
    prompt.sha256 === published.prompt &&
    set.baseline === published.baseline &&
    areOfficialQuestions(set) &&
    digest(set.questions.map(({ baseline }) => baseline)) === published.outputs
  );
}

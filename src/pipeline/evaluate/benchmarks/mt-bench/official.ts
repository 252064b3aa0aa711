import type { Answering } from "../../evaluation.ts";
import type { Judgement } from "../judged/judging.ts";
import { otherJudge, setKey } from "../judged/official.ts";
import { type MtMode, type MtPrompts, mtPromptKey } from "./prompts.ts";
import type { MtQuestion } from "./questions.ts";

/** What published figures stand on: the keys are of the texts in lm-sys/FastChat. */
const official = {
  judge: "gpt-4",
  questions: "7241f4a3e25bd8d8eb07e8c3cc2f679c",
  references: "f1e5757ade38a6afcb2745e7b5b812f9",
  prompts: { single: "a5ca3b584808c34b06cb195b841c8755", pairwise: "e5a3c08b89f9f2f488b5c536ecfa43b2" },
  baseline: "gpt-3.5-turbo",
} as const;

export interface MtConditions {
  readonly mode: MtMode;
  readonly baseline: string | undefined;
  readonly judge: Answering;
  readonly constrained: boolean;
  readonly questions: readonly MtQuestion[];
  readonly prompts: MtPrompts;
  readonly judgements: readonly Judgement<unknown>[];
}

const mtKeys = (questions: readonly MtQuestion[], prompts: MtPrompts) => ({
  questions: setKey(questions.map(({ id, category, turns }) => [id, category, ...turns])),
  references: setKey(
    questions.flatMap(({ id, references }) => (references === undefined ? [] : [[id, ...references]])),
  ),
  prompts: setKey([...prompts].map(([name, prompt]) => [name, mtPromptKey(prompt)])),
});

/** Why the figures may not stand beside published ones; none where they may. */
export function otherThanOfficial(conditions: MtConditions): string[] {
  const { mode, baseline, judge, constrained, questions, prompts, judgements } = conditions;
  const keys = mtKeys(questions, prompts);
  // FastChat asks its judge once.
  const late = judgements.filter(({ verdict, attempts }) => verdict !== null && attempts > 1).length;
  return [
    otherJudge(judge, official.judge),
    keys.questions === official.questions ? undefined : "the questions are not MT-Bench's 80",
    keys.references === official.references ? undefined : "the reference answers are not MT-Bench's",
    keys.prompts === official.prompts[mode] ? undefined : "the judge's prompts are not the official ones",
    mode === "single" || baseline === official.baseline
      ? undefined
      : `the baseline is ${baseline}, not ${official.baseline}`,
    constrained ? "the judge is held to the form of a verdict" : undefined,
    late === 0 ? undefined : `${late} verdicts came at a second attempt, which FastChat doesn't make (\`attempts: 1\`)`,
  ].filter((reason) => reason !== undefined);
}

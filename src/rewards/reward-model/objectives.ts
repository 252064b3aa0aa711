/** What ArmoRM's 19 outputs were trained to predict, in their order: data set and rating. */
const armoObjectives = [
  "helpsteer-helpfulness",
  "helpsteer-correctness",
  "helpsteer-coherence",
  "helpsteer-complexity",
  "helpsteer-verbosity",
  "ultrafeedback-overall_score",
  "ultrafeedback-instruction_following",
  "ultrafeedback-truthfulness",
  "ultrafeedback-honesty",
  "ultrafeedback-helpfulness",
  "beavertails-is_safe",
  "prometheus-score",
  "argilla-overall_quality",
  "argilla-judge_lm",
  "code-complexity",
  "code-style",
  "code-explanation",
  "code-instruction-following",
  "code-readability",
];

/** Names of a head's outputs: a model with other than ArmoRM's 19 doesn't say what they stand for. */
export const objectiveNames = (outputs: number): readonly string[] =>
  outputs === armoObjectives.length ? armoObjectives : Array.from({ length: outputs }, (_, index) => `${index}`);

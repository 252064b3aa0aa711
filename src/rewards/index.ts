export type { Instruction } from "./checks/index.ts";
export { instructions, looseVariants, scoreChecks, scoreChecksLoosely, validateChecks } from "./checks/index.ts";
export { checksComponent } from "./checks-component.ts";
export { checkCode, languagesOfTests, refuseUnrunTests } from "./code/check.ts";
export type { ComponentOutcome, RewardComponent, RewardContext } from "./component.ts";
export { composeRewards, type WeightedComponent } from "./compose.ts";
export {
  embeddedFirstToken,
  endpointFirstToken,
  type FirstTokenOutcome,
  type FirstTokenReader,
} from "./judge/first-token.ts";
export { type JudgeRecipe, openJudge } from "./judge/index.ts";
export { isReference, recipeReferences, withReferences } from "./judge/reference.ts";
export { openRewards, tryReward } from "./open.ts";
export { columnsOf, recipeChecks, withRecipeChecks } from "./recipe-checks.ts";
export { type RewardModelRecipe, readsLabels, rewardModelComponent } from "./reward-model/index.ts";

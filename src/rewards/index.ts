export type { Instruction } from "./checks/index.ts";
export { instructions, looseVariants, scoreChecks, scoreChecksLoosely, validateChecks } from "./checks/index.ts";
export { checksComponent } from "./checks-component.ts";
export type { ComponentOutcome, RewardComponent, RewardContext } from "./component.ts";
export { composeRewards, type WeightedComponent } from "./compose.ts";
export { type JudgeRecipe, openJudge } from "./judge/index.ts";
export { openRewards } from "./open.ts";
export { columnsOf, recipeChecks, withRecipeChecks } from "./recipe-checks.ts";
export { type RewardModelRecipe, readsLabels, rewardModelComponent } from "./reward-model/index.ts";

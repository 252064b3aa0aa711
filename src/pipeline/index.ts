export { evaluateModels, latestComparison } from "./evaluating.ts";
export * from "./events.ts";
export { Interrupted, openRun, type Run, type RunOptions, runPaths } from "./run.ts";
export { drawMissing, type LazySource, lazyModel, type SamplingPlan, sampleSources } from "./sampling.ts";
export { scoreLabel, scoreMissing } from "./scoring.ts";
export { selectForSft, selectForWrpo } from "./selecting.ts";
export { runStages, sampleTarget } from "./stages.ts";
export { tuneSft, tuneWrpo } from "./tuning.ts";

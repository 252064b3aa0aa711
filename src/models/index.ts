export { adaptedFiles, baseAndAdapter, mergedWeights } from "./adapted-files.ts";
export { adaptableShapes, adaptedNames, createAdapters, disposeAdapters, usingSums } from "./adapters.ts";
export type { BundleSpan } from "./bundle-attention.ts";
export { bundleAttention, plainAttention } from "./bundle-attention.ts";
export type { DecoderConfig, LayerKind, Rope } from "./config.ts";
export {
  type Deberta,
  debertaStates,
  encoderPrefix,
  headLayers,
  type PairRankerFiles,
} from "./deberta/index.ts";
export * from "./decoder.ts";
export { families } from "./families/index.ts";
export { statedLicence } from "./licence.ts";
export * from "./load.ts";
export * from "./locate/index.ts";
export { readAdapters, writeAdapters } from "./peft.ts";
export {
  gateScale,
  type HeadLayer,
  normTensors,
  objectiveTransform,
  type RewardGate,
  type RewardHead,
} from "./reward-head.ts";
export { saveModel } from "./save.ts";
export { softcap } from "./softcap.ts";

import type { SampleOutcome, Sampling } from "../../schema/index.ts";
import type { Draw, StoredPrompt } from "../index.ts";

export const sampling: Sampling = { temperature: 0.8, top_p: 0.95, top_k: 0, max_tokens: 64, stop: [], seed: 42 };

export const prompt = (id: string, split: StoredPrompt["split"] = "wrpo"): StoredPrompt => ({
  id,
  split,
  messages: [{ role: "user", content: `Say ${id}` }],
  checks: [],
});

export const draw = (source: string, over: Partial<Draw> = {}): Draw => ({
  source,
  identity: `model-of-${source}`,
  sampling,
  n: 2,
  splits: ["sft", "wrpo"],
  ...over,
});

export const answer = (promptId: string, index: number, text = `${promptId}/${index}`): SampleOutcome => ({
  promptId,
  index,
  text,
  finish: "stop",
  promptTokens: 3,
  responseTokens: 4,
});

import { arcChallenge } from "./arc-challenge.ts";
import { hellaswag } from "./hellaswag.ts";
import type { Task } from "./task.ts";
import { winogrande } from "./winogrande.ts";

/** A task as lm-eval's group `openllm` has it: its examples are of a split that it names. */
const within = (task: Task, fewShot: string): Task => ({
  ...task,
  name: `openllm_${task.name}`,
  splits: { ...task.splits, fewShot },
});

export const openllm: readonly Task[] = [
  within(arcChallenge, "validation"),
  within(hellaswag, "train"),
  within(winogrande, "train"),
];

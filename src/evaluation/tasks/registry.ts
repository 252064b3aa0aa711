import { arcChallenge } from "./arc-challenge.ts";
import { gsm8k } from "./gsm8k.ts";
import { hellaswag } from "./hellaswag.ts";
import { ifeval } from "./ifeval.ts";
import { mmlu } from "./mmlu.ts";
import { openllm } from "./openllm.ts";
import type { Task } from "./task.ts";
import { truthfulqaMc2 } from "./truthfulqa.ts";
import { winogrande } from "./winogrande.ts";

/** The tasks that Amalgam has, by name. A further one is added here. */
export const tasks: ReadonlyMap<string, Task> = new Map(
  [arcChallenge, hellaswag, mmlu, truthfulqaMc2, winogrande, gsm8k, ifeval, ...openllm].map((task) => [
    task.name,
    task,
  ]),
);

export { type Aggregate, figuresOf, type TaskFigures } from "./aggregate.ts";
export { readTaskData, type TaskData } from "./documents.ts";
export { type Placed, type Prompt, promptsOf } from "./few-shot.ts";
export { tasks } from "./registry.ts";
export {
  type Choice,
  type ChoiceTask,
  defineTask,
  type Metric,
  type Scores,
  type Splits,
  type Task,
  targetDelimiterOf,
  type WrittenTask,
} from "./task.ts";
export { loadTask } from "./yaml-task.ts";

import { z } from "zod";
import { RecipeError } from "./errors.ts";
import { didYouMean } from "./nearest.ts";
import { objectiveChoice, objectiveDefaults, refuseForeign, withDefaults } from "./objectives.ts";
import {
  refuseForeignOptimiser,
  refuseForeignSchedule,
  refuseFrozenBase,
  withOptimiserDefaults,
  withScheduleDefaults,
} from "./optimisation.ts";
import { loggingSchema, modelSchema, optimisation } from "./recipe.ts";
import { mistakesOf } from "./recipe-issues.ts";
import { applyOverrides, overrideOf, parseOverride } from "./recipe-overrides.ts";

const aside = {
  seed: z.int().min(0).max(0xffff_ffff).default(42),
  device: modelSchema.shape.device,
  chat_template: modelSchema.shape.chat_template,
  /** What becomes of rows from which nothing can be learnt: left out and counted, or an error. */
  unusable: z.enum(["drop", "error"]).default("drop"),
  logging: loggingSchema.prefault({}),
};

/** The fields of a training without those that need rows held out, which this one does not do. */
function unwatched(learningRate: number) {
  const {
    held_out_share: _,
    evaluate_every_steps: __,
    evaluation_samples: ___,
    early_stopping: ____,
    keep_best: _____,
    ...fields
  } = optimisation(learningRate);
  return fields;
}

const preferenceSchema = z
  .strictObject({ ...unwatched(3e-7), ...objectiveChoice, ...aside })
  .superRefine(refuseForeign)
  .superRefine(refuseForeignOptimiser)
  .superRefine(refuseForeignSchedule)
  .superRefine(refuseFrozenBase)
  .overwrite(withDefaults)
  .overwrite(withOptimiserDefaults)
  .overwrite(withScheduleDefaults);

const supervisedSchema = z
  .strictObject({ ...unwatched(7e-6), objective: z.literal("sft"), ...aside })
  .superRefine(refuseForeignOptimiser)
  .superRefine(refuseForeignSchedule)
  .superRefine(refuseFrozenBase)
  .overwrite(withOptimiserDefaults)
  .overwrite(withScheduleDefaults);

/** Settings of a preference training on data of one's own. */
export type PreferenceSettings = z.infer<typeof preferenceSchema>;
/** Settings of supervised tuning on data of one's own. */
export type SupervisedSettings = z.infer<typeof supervisedSchema>;
/** How `amalgam train --data` trains, every default filled in. */
export type DataTrainingSettings = PreferenceSettings | SupervisedSettings;

/**
 * The settings of a training on data of one's own: the fields of a recipe's `sft` (objective "sft") or `wrpo` (any other
 * objective), with `seed`, `device`, `chat_template`, `unusable` and `logging` beside them.
 *
 * @param overrides `field=value`, the value in YAML.
 * @throws RecipeError for an objective or a setting that isn't known, and for a value that can't be.
 */
export function dataTrainingSettings(objective: string, overrides: readonly string[] = []): DataTrainingSettings {
  const names = [...Object.keys(objectiveDefaults), "mixture"];
  if (!names.includes(objective))
    throw new RecipeError(`there is no objective ${JSON.stringify(objective)}`, {
      hint: `${didYouMean(objective, names)}The objectives are ${names.join(", ")}.`,
    });
  const given = overrides.map(parseOverride);
  if (given.some(({ path }) => path[0] === "objective"))
    throw new RecipeError("the objective is named by --objective", { field: "objective" });
  const value = applyOverrides({ objective }, given);
  const schema: z.ZodType<DataTrainingSettings> = objective === "sft" ? supervisedSchema : preferenceSchema;
  const parsed = schema.safeParse(value);
  if (parsed.success) return withRoom(parsed.data);
  const [first, ...others] = mistakesOf(schema, value, parsed.error.issues).map(({ path, message, hint }) => {
    const override = overrideOf(path, given);
    const hints = [hint, override === undefined ? undefined : `Given by --set ${override.text}.`].filter(Boolean);
    return new RecipeError(message, { field: path.join("."), ...(hints.length > 0 ? { hint: hints.join(" ") } : {}) });
  });
  throw first!.with(others);
}

function withRoom<Settings extends DataTrainingSettings>(settings: Settings): Settings {
  const { max_length, max_prompt_length } = settings;
  if (max_prompt_length < max_length) return settings;
  throw new RecipeError(
    `max_prompt_length (${max_prompt_length}) leaves no room for a response within max_length (${max_length})`,
    { field: "max_prompt_length", hint: "Lower max_prompt_length or raise max_length: --set max_prompt_length=900." },
  );
}

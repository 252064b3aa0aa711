import { z } from "zod";
import { RecipeError } from "./errors.ts";
import { didYouMean } from "./nearest.ts";
import { objectiveDefaults, refuseForeign, withDefaults } from "./objectives.ts";
import {
  refuseForeignOptimiser,
  refuseForeignSchedule,
  refuseFrozenBase,
  withOptimiserDefaults,
  withScheduleDefaults,
} from "./optimisation.ts";
import { loggingSchema, modelSchema, optimisation, preferenceFields } from "./recipe.ts";
import { firstOf, mistakeError, mistakesOf } from "./recipe-issues.ts";
import { applyOverrides, givenBy, overrideOf, overrideWithin, parseOverride } from "./recipe-overrides.ts";

const aside = {
  seed: z.int().min(0).max(0xffff_ffff).default(42),
  device: modelSchema.shape.device,
  chat_template: modelSchema.shape.chat_template,
  /** What becomes of rows from which nothing can be learnt: left out and counted, or an error. */
  unusable: z.enum(["drop", "error"]).default("drop"),
  logging: loggingSchema.prefault({}),
};

/** The fields of a training without the samples of an evaluation: there is no reward here that would score them. */
function unsampled(learningRate: number) {
  const { evaluation_samples: _, ...fields } = optimisation(learningRate);
  return fields;
}

const supervisedFields = {
  /** Whether rows are learnt in sequences of about `max_length` tokens, which `batch_size` then counts. */
  packing: z.boolean().default(false),
};

const preferenceSchema = z
  .strictObject({ ...unsampled(3e-7), ...preferenceFields, ...aside })
  .superRefine(refuseForeign)
  .superRefine(refuseForeignOptimiser)
  .superRefine(refuseForeignSchedule)
  .superRefine(refuseFrozenBase)
  .overwrite(withDefaults)
  .overwrite(withOptimiserDefaults)
  .overwrite(withScheduleDefaults);

const supervisedSchema = z
  .strictObject({ ...unsampled(7e-6), objective: z.literal("sft"), ...supervisedFields, ...aside })
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
 * @param evaluation whether there are rows of their own to evaluate on, in the place of a share that is held out.
 * @throws RecipeError for an objective or a setting that isn't known, and for a value that can't be.
 */
export function dataTrainingSettings(
  objective: string,
  overrides: readonly string[] = [],
  evaluation = false,
): DataTrainingSettings {
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
  if (parsed.success) return evaluated(withRoom(parsed.data), evaluation);
  const errors = mistakesOf(schema, value, parsed.error.issues).map((mistake) => {
    const override = overrideOf(mistake.path, given) ?? overrideWithin(mistake.path, given);
    return mistakeError(mistake, override === undefined ? {} : givenBy(override));
  });
  throw firstOf(errors)!;
}

/** The same, where what goes by an evaluation has rows for it, once. */
function evaluated<Settings extends DataTrainingSettings>(settings: Settings, rows: boolean): Settings {
  const { held_out_share, early_stopping, keep_best } = settings;
  if (rows && held_out_share > 0)
    throw new RecipeError(
      "rows to evaluate on are given by --eval-data, and a share of the data would be held out too",
      {
        field: "held_out_share",
        hint: "Leave out the one or the other.",
      },
    );
  const blind = early_stopping !== undefined ? "early_stopping" : keep_best > 0 ? "keep_best" : undefined;
  if (rows || held_out_share > 0 || blind === undefined) return settings;
  throw new RecipeError("it goes by an evaluation, and no rows are held out for one", {
    field: blind,
    hint: "Name some by --eval-data, or --set held_out_share=0.05.",
  });
}

function withRoom<Settings extends DataTrainingSettings>(settings: Settings): Settings {
  const { max_length, max_prompt_length } = settings;
  if (max_prompt_length < max_length) return settings;
  throw new RecipeError(
    `max_prompt_length (${max_prompt_length}) leaves no room for a response within max_length (${max_length})`,
    { field: "max_prompt_length", hint: "Lower max_prompt_length or raise max_length: --set max_prompt_length=900." },
  );
}

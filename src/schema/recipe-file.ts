import { existsSync } from "node:fs";
import { dirname, relative, resolve } from "node:path";
import { stringify } from "yaml";
import { z } from "zod";
import { expandHome } from "./cache.ts";
import { valueAt } from "./issue-words.ts";
import { judgeMistakes } from "./judge-mistakes.ts";
import { contentKey } from "./key.ts";
import { type Recipe, recipeSchema, type SuiteUse } from "./recipe.ts";
import { firstOf, type Mistake, mistakeError, mistakesOf } from "./recipe-issues.ts";
import {
  applyOverrides,
  givenBy,
  type Override,
  overrideOf,
  overrideWithin,
  parseOverride,
} from "./recipe-overrides.ts";
import { readYaml } from "./recipe-yaml.ts";
import { selectionMistakes } from "./selection-mistakes.ts";
import { isSuiteFile } from "./suite-name.ts";

/** A recipe with the place that it was read from. */
export interface LoadedRecipe {
  /** As written, every default filled in; relative paths start at `baseFolder`. */
  readonly recipe: Recipe;
  readonly file: string;
  /** The recipe's own folder, absolute. */
  readonly baseFolder: string;
  /** Content key of the recipe with its paths made absolute: equal for the recipe and for its copy in a run folder. */
  readonly digest: string;
}

/**
 * Reads a recipe: YAML, then the overrides (`a.b=c`, the value in YAML, entries of lists by number; or as a sweep has them), then
 * the schema.
 *
 * Throws a RecipeError with file, line and field for the first mistake; its `others` are the rest. Mistakes are: no such
 * file, not UTF-8, not YAML, a field twice, an unknown or missing field, a wrong type or value, a source's or a judge's
 * name twice, a prompts file that is not there.
 */
export function loadRecipe(file: string, overrides: readonly (string | Override)[] = []): LoadedRecipe {
  const yaml = readYaml(file);
  const baseFolder = resolve(dirname(file));
  const given = overrides.map((override) => (typeof override === "string" ? parseOverride(override) : override));
  const value = applyOverrides(yaml.value, given);
  const parsed = recipeSchema.safeParse(value);
  const mistakes = [
    ...(parsed.success ? [] : mistakesOf(recipeSchema, value, parsed.error.issues)),
    ...repeatedNames(value, "sources"),
    ...repeatedNames(value, "rewards"),
    ...contradictions(value),
    ...missingFiles(value, baseFolder),
  ];
  const errors = mistakes.map((mistake) => {
    const { path } = mistake;
    const unwritten = valueAt(yaml.value, path) === undefined;
    const override = overrideOf(path, given) ?? (unwritten ? overrideWithin(path, given) : undefined);
    const line = override === undefined ? yaml.lineOf(path) : undefined;
    const place =
      override === undefined
        ? { file, ...(line === undefined ? {} : { line }) }
        : givenBy(override, shownOverride(override.text, path.join(".")));
    return mistakeError(mistake, place);
  });
  const first = firstOf(errors);
  if (first !== undefined) throw first;
  if (!parsed.success) throw new Error("the schema refused the recipe without saying why", { cause: parsed.error });
  const { data: recipe } = parsed;
  return { recipe, file, baseFolder, digest: contentKey(withPaths(recipe, baseFolder, (path) => path)) };
}

/** What a person typed, unless it may be a key. */
const shownOverride = (text: string, field: string) => (/key_env|url/.test(field) ? `${text.split("=")[0]}=...` : text);

const asList = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);

function repeatedNames(root: unknown, list: "sources" | "rewards"): Mistake[] {
  const seen = new Map<string, number>();
  return asList(valueAt(root, [list])).flatMap((entry, index) => {
    const name = valueAt(entry, ["name"]);
    if (typeof name !== "string") return [];
    const earlier = seen.get(name);
    if (earlier === undefined) {
      seen.set(name, index);
      return [];
    }
    const path = [list, index, "name"];
    return [{ path, message: `${list}.${earlier} is called "${name}" too`, hint: "Give each a name of its own." }];
  });
}

function contradictions(root: unknown): Mistake[] {
  const lengths = ["sft", "wrpo"].flatMap((stage): Mistake[] => {
    const whole = valueAt(root, [stage, "max_length"]) ?? 2048;
    const prompt = valueAt(root, [stage, "max_prompt_length"]) ?? 1800;
    if (!Number.isInteger(whole) || !Number.isInteger(prompt) || Number(prompt) < Number(whole)) return [];
    const written = valueAt(root, [stage, "max_length"]) === undefined ? "max_prompt_length" : "max_length";
    return [
      {
        path: [stage, written],
        message: `max_prompt_length (${prompt}) leaves no room for a response within max_length (${whole})`,
        hint: "Lower max_prompt_length (1800 unless written) or raise max_length (2048 unless written).",
      },
    ];
  });
  const scales = asList(valueAt(root, ["rewards"])).flatMap((reward, index): Mistake[] => {
    const [low, high] = asList(valueAt(reward, ["scale"]));
    if (typeof low !== "number" || typeof high !== "number" || low < high) return [];
    const hint = "A scale is [lowest, highest], like [1, 5].";
    return [{ path: ["rewards", index, "scale"], message: `the scale goes from ${low} to ${high}`, hint }];
  });
  return [...lengths, ...scales, ...compositions(root), ...judgeMistakes(root), ...selectionMistakes(root)];
}

/** Clipping to nothing, a value behind a gate that isn't there, and gates with nothing behind them. */
function compositions(root: unknown): Mistake[] {
  const rewards = asList(valueAt(root, ["rewards"]));
  const found = rewards.flatMap((reward, index): Mistake[] => {
    const path = ["rewards", index];
    const [low, high] = asList(valueAt(reward, ["clip"]));
    const clip = typeof low === "number" && typeof high === "number" && low >= high;
    const otherwise = valueAt(reward, ["otherwise"]) !== undefined && valueAt(reward, ["gate"]) === undefined;
    return [
      ...(clip
        ? [{ path: [...path, "clip"], message: `it goes from ${low} to ${high}`, hint: "Write [lowest, highest]." }]
        : []),
      ...(otherwise
        ? [
            {
              path: [...path, "otherwise"],
              message: "is the value behind a closed gate, and there is no gate",
              hint: "Add `gate`, the least value that opens it, or take this out.",
            },
          ]
        : []),
    ];
  });
  if (rewards.length === 0 || rewards.some((reward) => valueAt(reward, ["gate"]) === undefined)) return found;
  const message = "every reward is a gate, and none gives a value";
  return [
    ...found,
    { path: ["rewards"], message, hint: "A gate has no share of its own: add a reward without `gate`." },
  ];
}

function missingFiles(root: unknown, baseFolder: string): Mistake[] {
  const further = valueAt(root, ["prompts", "decontaminate", "against"]);
  const sources = valueAt(root, ["sources"]);
  const suites = valueAt(root, ["evaluation", "suites"]);
  const count = (list: unknown) => (Array.isArray(list) ? list.length : 0);
  return [
    ["prompts", "file"],
    ["evaluation", "prompts", "file"],
    ...Array.from({ length: count(further) }, (_, at) => ["prompts", "decontaminate", "against", at, "file"]),
    ...Array.from({ length: count(sources) }, (_, at) => ["sources", at, "recorded", "file"]),
    ...Array.from({ length: count(suites) }, (_, at) =>
      ["suite", "data"].map((field) => ["evaluation", "suites", at, field]),
    ).flat(),
  ].flatMap((path): Mistake[] => {
    const file = valueAt(root, path);
    if (typeof file !== "string" || file === "") return [];
    if (path.at(-1) === "suite" && !isSuiteFile(file)) return [];
    const whole = absolute(file, baseFolder);
    if (existsSync(whole)) return [];
    const message = `there is no file ${whole}`;
    return [{ path, message, hint: "Paths of a recipe are relative to its own folder." }];
  });
}

const absolute = (path: string, baseFolder: string) => resolve(baseFolder, expandHome(path));

/** The recipe with `change` applied to the absolute form of every path in it: of the prompts, and of models given by path. */
function withPaths(recipe: Recipe, baseFolder: string, change: (path: string) => string): Recipe {
  const file = <T extends { file: string }>(prompts: T): T => ({
    ...prompts,
    file: change(absolute(prompts.file, baseFolder)),
  });
  const model = <T extends object>(entry: T): T => {
    const { model: base, adapter } = entry as { model?: unknown; adapter?: unknown };
    return {
      ...entry,
      ...(typeof base === "string" && isPath(base, baseFolder) ? { model: change(absolute(base, baseFolder)) } : {}),
      ...(typeof adapter === "string" ? { adapter: change(absolute(adapter, baseFolder)) } : {}),
    };
  };
  const suite = ({ suite: named, data }: SuiteUse): SuiteUse => ({
    suite: isSuiteFile(named) ? change(absolute(named, baseFolder)) : named,
    ...(data === undefined ? {} : { data: change(absolute(data, baseFolder)) }),
  });
  return {
    ...recipe,
    prompts: {
      ...file(recipe.prompts),
      ...(recipe.prompts.decontaminate === undefined
        ? {}
        : {
            decontaminate: {
              ...recipe.prompts.decontaminate,
              against: recipe.prompts.decontaminate.against.map(file),
            },
          }),
    },
    target: model(recipe.target),
    sources: recipe.sources.map((source) =>
      "recorded" in source ? { ...source, recorded: file(source.recorded) } : model(source),
    ),
    rewards: recipe.rewards.map(model),
    evaluation: {
      ...recipe.evaluation,
      prompts: file(recipe.evaluation.prompts),
      ...(recipe.evaluation.suites === undefined ? {} : { suites: recipe.evaluation.suites.map(suite) }),
    },
  };
}

/** `owner/name` is a path where such a folder stands, else a model on the hub: as `locateModel` reads it. */
function isPath(reference: string, baseFolder: string): boolean {
  if (reference.startsWith("package:")) return false;
  return /^[./~]/.test(reference) || existsSync(absolute(reference, baseFolder));
}

/** The line in which a field of a recipe stands (`rewards.0.checks`), or the nearest one around it that is written there. */
export function lineInRecipe(file: string, field: string): number | undefined {
  return readYaml(file).lineOf(field.split("."));
}

/** The first line of a recipe that a program wrote: one without it was written by a person. */
export const resolvedHeader = "# The recipe of this run as resolved by Amalgam, with every default written out.";

/**
 * The recipe (its paths start at `baseFolder`) as it is to stand in `folder`: every path holds from there, relative
 * inside the folder and absolute outside. A recipe and its copy in the folder come out the same.
 */
export function resolvedRecipe(recipe: Recipe, baseFolder: string, folder: string): Recipe {
  const root = resolve(folder);
  const seenFrom = (path: string) => (path.startsWith(`${root}/`) ? `./${relative(root, path)}` : path);
  return withPaths(recipe, baseFolder, seenFrom);
}

/** A resolved recipe as a file, every default written out. Secrets stand in no recipe: keys are named by their environment variable. */
export const resolvedYaml = (resolved: Recipe): string =>
  `${resolvedHeader}\n${stringify(resolved, { lineWidth: 100 })}`;

/** JSON Schema of a recipe as written, for editors. */
export function recipeJsonSchema(): Record<string, unknown> {
  return { ...z.toJSONSchema(recipeSchema, { io: "input" }), title: "Recipe of Amalgam" };
}

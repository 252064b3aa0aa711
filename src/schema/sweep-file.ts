import { statSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { z } from "zod";
import { expandHome } from "./cache.ts";
import { describeError, RecipeError } from "./errors.ts";
import { loadRecipe } from "./recipe-file.ts";
import { firstOf, type Mistake, mistakeError, mistakesOf } from "./recipe-issues.ts";
import { type Override, parseOverride } from "./recipe-overrides.ts";
import { type FieldPath, readYaml, type YamlFile } from "./recipe-yaml.ts";
import { type GridValue, type Sweep, sweepSchema } from "./sweep.ts";

/** One recipe of a sweep. */
export interface SweepVariant {
  readonly name: string;
  /** The fields by which it differs from the others, with their values. */
  readonly settings: Readonly<Record<string, unknown>>;
  /** Of a grid: where in it. */
  readonly point?: Readonly<Record<string, GridValue>>;
  /** What makes its recipe of the sweep's: for `loadRecipe` or `openRun`. */
  readonly overrides: readonly (string | Override)[];
}

export interface LoadedSweep {
  readonly name: string;
  readonly file: string;
  readonly recipeFile: string;
  readonly grid: Sweep["grid"];
  /** In the order of the file: those by name, then those of the grid, whose last field changes fastest. */
  readonly variants: readonly SweepVariant[];
}

export interface SweepChanges {
  /** In place of the recipe that the sweep names. */
  readonly recipeFile?: string;
  /** `a.b=c`, for all variants. */
  readonly overrides?: readonly string[];
}

/**
 * Reads a sweep and the recipe of every variant. Throws a RecipeError with file, line and field for the first mistake; its
 * `others` are the rest: of the sweep as of a recipe, and of each variant's recipe whatever `loadRecipe` finds.
 */
export function loadSweep(file: string, changes: SweepChanges = {}): LoadedSweep {
  const yaml = readYaml(file, "sweep");
  const parsed = sweepSchema.safeParse(yaml.value);
  if (!parsed.success) throw inFile(file, yaml, mistakesOf(sweepSchema, yaml.value, parsed.error.issues));
  const { data: sweep } = parsed;
  const recipeFile = changes.recipeFile ?? resolve(dirname(file), expandHome(sweep.recipe));
  const variants = variantsOf(sweep, { file, yaml, given: changes.overrides ?? [] });
  const mistakes = [
    ...(changes.recipeFile === undefined ? missingRecipe(recipeFile) : []),
    ...noVariants(sweep),
    ...sameNames(variants),
  ];
  if (mistakes.length > 0) throw inFile(file, yaml, mistakes);
  refuseOverruled(variants, changes.overrides ?? []);
  refuseMistaken(recipeFile, variants);
  return { name: sweep.name, file, recipeFile, grid: sweep.grid, variants };
}

function inFile(file: string, yaml: YamlFile, mistakes: readonly Mistake[]): RecipeError {
  const errors = mistakes.map((mistake) => {
    const line = yaml.lineOf(mistake.path);
    return mistakeError(mistake, { file, ...(line === undefined ? {} : { line }) });
  });
  return firstOf(errors)!;
}

function missingRecipe(recipeFile: string): Mistake[] {
  if (statSync(recipeFile, { throwIfNoEntry: false })?.isFile() === true) return [];
  const hint = "The recipe of a sweep is relative to the sweep's own folder.";
  return [{ path: ["recipe"], message: `there is no file ${recipeFile}`, hint }];
}

const noVariants = ({ variants, grid }: Sweep): Mistake[] =>
  variants.length > 0 || Object.keys(grid).length > 0
    ? []
    : [{ path: [], message: "a sweep needs `variants` or a `grid`", hint: "One recipe alone: amalgam run." }];

interface Written {
  readonly file: string;
  readonly yaml: YamlFile;
  /** `--set` of the command line. */
  readonly given: readonly string[];
}

interface NamedVariant extends SweepVariant {
  /** Where in the sweep it stands. */
  readonly at: FieldPath;
}

/** What all have, what the command line says, what a variant has: later ones over earlier ones. */
function variantsOf(sweep: Sweep, { file, yaml, given }: Written): NamedVariant[] {
  const override = (field: string, value: unknown, at: FieldPath): Override => {
    const line = yaml.lineOf(at);
    const place = { file, ...(line === undefined ? {} : { line }) };
    return { text: field, path: field.split("."), value: value ?? undefined, place };
  };
  const all = (set: Sweep["set"], at: FieldPath) =>
    Object.entries(set).map(([field, value]) => override(field, value, [...at, field]));
  const common = [...all(sweep.set, ["set"]), ...given];
  const named = (name: string, at: FieldPath) => override("name", `${sweep.name}-${name}`, at);
  const byName = sweep.variants.map(({ name, set }, index): NamedVariant => {
    const at = ["variants", index];
    const overrides = [...common, named(name, at), ...all(set, [...at, "set"])];
    return { name, settings: set, overrides, at };
  });
  const short = shortNames(Object.keys(sweep.grid));
  const ofGrid = pointsOf(sweep.grid).map((point): NamedVariant => {
    const name = Object.entries(point)
      .map(([field, value]) => (typeof value === "string" ? slug(value) : slug(`${short.get(field)!}-${value}`)))
      .join("-");
    const set = Object.entries(point).map(([field, value]) => {
      const index = sweep.grid[field]!.indexOf(value);
      return override(field, value, ["grid", field, index]);
    });
    return { name, settings: point, point, overrides: [...common, named(name, ["grid"]), ...set], at: ["grid"] };
  });
  return [...byName, ...ofGrid];
}

/** Every combination of a grid's values. */
function pointsOf(grid: Sweep["grid"]): Record<string, GridValue>[] {
  const fields = Object.entries(grid);
  if (fields.length === 0) return [];
  return fields.reduce<Record<string, GridValue>[]>(
    (points, [field, values]) => points.flatMap((point) => values.map((value) => ({ ...point, [field]: value }))),
    [{}],
  );
}

/** The last part of each field's name, and as many before it as tell the fields apart. */
function shortNames(fields: readonly string[]): Map<string, string> {
  const tail = (field: string, parts: number) => field.split(".").slice(-parts).join(".");
  return new Map(
    fields.map((field) => {
      let parts = 1;
      while (fields.some((other) => other !== field && tail(other, parts) === tail(field, parts))) parts += 1;
      return [field, tail(field, parts)];
    }),
  );
}

/** A value as a part of a folder's name. */
const slug = (text: string): string => text.replace(/[^A-Za-z0-9._-]+/g, "-").replace(/^[^A-Za-z0-9]+/, "") || "empty";

function sameNames(variants: readonly NamedVariant[]): Mistake[] {
  const seen = new Map<string, string>();
  return variants.flatMap(({ name, at }): Mistake[] => {
    // Some file systems don't tell cases apart.
    const folder = name.toLowerCase();
    const earlier = seen.get(folder);
    seen.set(folder, name);
    const path = at[0] === "variants" ? [...at, "name"] : at;
    if (/^sweep\.|^run\.|\.partial$/.test(folder))
      return [{ path, message: `"${name}" is the name of a file of the sweep`, hint: "Take another." }];
    if (earlier === undefined) return [];
    return [{ path, message: `two variants are called "${earlier}"`, hint: "Give each a name of its own." }];
  });
}

/** Fields of the command line that some variant sets itself: for that one they would change nothing. */
function refuseOverruled(variants: readonly SweepVariant[], given: readonly string[]): void {
  for (const { text, path } of given.map(parseOverride)) {
    const within = (field: string) => {
      const own = field.split(".");
      return own.slice(0, path.length).every((step, at) => step === path[at]);
    };
    const field = path.join(".");
    const own = variants.filter(({ settings }) => Object.keys(settings).some(within)).map(({ name }) => name);
    if (own.length > 0)
      throw new RecipeError(`--set ${text} would change nothing in the variants that set ${field} themselves`, {
        field,
        hint: `They are ${own.join(", ")}; change it in the sweep.`,
      });
  }
}

/** Throws what is wrong with the variants' recipes, each mistake once. */
function refuseMistaken(recipeFile: string, variants: readonly SweepVariant[]): void {
  const found = new Map<string, { error: RecipeError; names: string[] }>();
  for (const { name, overrides } of variants) {
    try {
      loadRecipe(recipeFile, overrides);
    } catch (error) {
      if (!(error instanceof RecipeError)) throw error;
      for (const single of [error.with([]), ...error.others]) {
        const known = found.get(describeError(single)) ?? { error: single, names: [] };
        known.names.push(name);
        found.set(describeError(single), known);
      }
    }
  }
  const errors = [...found.values()].map(({ error, names }) =>
    names.length === variants.length ? error : error.amend({ hint: `In ${names.join(", ")}.` }),
  );
  const [first, ...others] = errors;
  if (first !== undefined) throw first.with(others);
}

/** JSON Schema of a sweep, for editors. */
export function sweepJsonSchema(): Record<string, unknown> {
  return { ...z.toJSONSchema(sweepSchema, { io: "input" }), title: "Sweep of Amalgam" };
}

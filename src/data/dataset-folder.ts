import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, join, relative, sep } from "node:path";
import { parse, YAMLParseError } from "yaml";
import { z } from "zod";
import { DataError, issueWords } from "../schema/index.ts";

/** Which part of a data set. */
export interface DatasetPart {
  /** The usual one if not given, or the only one there is. */
  readonly split?: string | undefined;
  /** Taken of several where none is asked for: `train` unless given. */
  readonly usual?: string | undefined;
  /** A configuration that its README names; the first, or the one called default, if not given. */
  readonly config?: string | undefined;
}

/**
 * The data files of a split of a Hugging Face data set's folder, in order: one that `save_to_disk` wrote, one split or
 * several; or a copy of a hub repository, by the `configs` of its README or by the names of its files.
 *
 * @throws DataError where there is no such split or configuration, or no data at all.
 */
export function datasetFiles(folder: string, part: DatasetPart): string[] {
  if (existsSync(join(folder, "dataset_dict.json"))) {
    const { splits } = read(join(folder, "dataset_dict.json"), z.object({ splits: z.array(z.string()) }));
    return savedFiles(join(folder, choose(new Map(splits.map((split) => [split, split])), part, folder)));
  }
  if (existsSync(join(folder, "state.json"))) return savedFiles(folder);
  const splits = declared(folder, part) ?? byName(folder);
  return [...choose(splits, part, folder)].sort();
}

const stateSchema = z.object({ _data_files: z.array(z.object({ filename: z.string() })) });

const savedFiles = (folder: string): string[] =>
  read(join(folder, "state.json"), stateSchema)._data_files.map(({ filename }) => join(folder, filename));

function read<T>(file: string, schema: z.ZodType<T>): T {
  try {
    return schema.parse(JSON.parse(readFileSync(file, "utf8")));
  } catch (cause) {
    throw new DataError("not a file as `datasets` writes it", { file, cause, hint: "Save the data set again." });
  }
}

function choose<T>(splits: ReadonlyMap<string, T>, { split, usual = "train" }: DatasetPart, folder: string): T {
  const names = [...splits.keys()];
  const name = split ?? (names.length === 1 ? names[0]! : usual);
  const found = splits.get(name);
  if (found !== undefined) return found;
  throw new DataError(
    names.length === 0 ? "there are no data files in this folder" : `the data set has no split ${name}`,
    {
      file: folder,
      hint:
        names.length === 0
          ? "A folder is one that `save_to_disk` of `datasets` wrote, or a copy of a data set of the hub, with Parquet, JSONL, CSV or Arrow files."
          : `Its splits are ${names.join(", ")}: name one as \`split\`, on the command line by --split.`,
    },
  );
}

const patterns = z.union([z.string(), z.array(z.string())]);
const configsSchema = z.object({
  configs: z.array(
    z.object({
      config_name: z.string(),
      default: z.boolean().optional(),
      /** The folder that the patterns count from; without patterns, all files in it by their names. */
      data_dir: z.string().optional(),
      data_files: z
        .union([patterns, z.array(z.object({ split: z.string(), path: patterns })), z.record(z.string(), patterns)])
        .optional(),
    }),
  ),
});

/** The files of each split as the front matter of the README declares them; undefined where it does not. */
function declared(folder: string, { config }: DatasetPart): Map<string, string[]> | undefined {
  const readme = join(folder, "README.md");
  const configs = existsSync(readme) ? configsOf(readme) : undefined;
  if (configs === undefined) {
    if (config === undefined) return undefined;
    throw new DataError(`the data set names no configurations, and ${config} was asked for`, { file: folder });
  }
  const chosen =
    configs.find(
      (one) => one.config_name === (config ?? configs.find((other) => other.default)?.config_name ?? "default"),
    ) ?? (config === undefined ? configs[0] : undefined);
  if (chosen === undefined)
    throw new DataError(`the data set has no configuration ${config}`, {
      file: readme,
      hint: `It has ${configs.map(({ config_name }) => config_name).join(", ")}.`,
    });
  const { data_files, data_dir = "." } = chosen;
  if (data_files === undefined) return byName(join(folder, data_dir));
  const bySplit: [string, string | string[]][] =
    typeof data_files === "string" || (Array.isArray(data_files) && data_files.every((one) => typeof one === "string"))
      ? [["train", data_files as string | string[]]]
      : Array.isArray(data_files)
        ? (data_files as { split: string; path: string | string[] }[]).map(({ split, path }) => [split, path])
        : Object.entries(data_files);
  const base = join(folder, data_dir);
  const all = dataFiles(folder).map((file) => ({ file, name: relative(base, file).split(sep).join("/") }));
  return new Map(
    bySplit.map(([split, globs]) => {
      const files = all.filter(({ name }) => [globs].flat().some((glob) => globPattern(glob).test(name)));
      if (files.length > 0) return [split, files.map(({ file }) => file)];
      throw new DataError(`no data file here is ${[globs].flat().join(" or ")}, which the split ${split} is to be`, {
        file: readme,
        field: `configs.${configs.indexOf(chosen)}.data_files`,
        hint: "Fetch these files, too, or take the split out of the README.",
      });
    }),
  );
}

/** The `configs` in the front matter of a README; undefined where it has none. Throws DataError where they can't be read. */
function configsOf(readme: string): z.infer<typeof configsSchema>["configs"] | undefined {
  const front = /^---\r?\n(.*?)\r?\n---/s.exec(readFileSync(readme, "utf8"))?.[1];
  if (front === undefined) return undefined;
  const hint = "Mend it, or take it out: the data files are then found by their names.";
  let values: unknown;
  try {
    values = parse(front);
  } catch (cause) {
    const line = cause instanceof YAMLParseError ? cause.linePos?.[0].line : undefined;
    throw new DataError(`its front matter is no YAML: ${(cause as Error).message.split("\n")[0]}`, {
      file: readme,
      // The front matter begins in the second line.
      ...(line === undefined ? {} : { line: line + 1 }),
      cause,
      hint,
    });
  }
  if (typeof values !== "object" || values === null || !("configs" in values)) return undefined;
  const parsed = configsSchema.safeParse(values);
  if (parsed.success) return parsed.data.configs;
  const issue = parsed.error.issues[0]!;
  throw new DataError(issueWords(issue, values).message, { file: readme, field: issue.path.join("."), hint });
}

/** `**` stands for any folders, `*` and `?` for anything within a name. */
function globPattern(glob: string): RegExp {
  const words: Readonly<Record<string, string>> = { "**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]" };
  const source = glob
    .replace(/^\.\//, "")
    .replace(/\*\*\/|\*\*|[*?]|[.+^${}()|[\]\\]/g, (found) => words[found] ?? `\\${found}`);
  return new RegExp(`^${source}$`);
}

/** What the hub takes for the names of splits, where they stand as a word in a file's or a folder's name. */
const splitWords: readonly (readonly [split: string, words: RegExp])[] = [
  ["train", /(^|[._/ -])train(ing)?([._/ -]|$)/i],
  ["test", /(^|[._/ -])(test(ing)?|eval(uation)?)([._/ -]|$)/i],
  ["validation", /(^|[._/ -])(val(id(ation)?)?|dev(elopment)?)([._/ -]|$)/i],
];

/** Splits by the names of files and folders; without any, all is `train`. */
function byName(folder: string): Map<string, string[]> {
  const splits = new Map<string, string[]>();
  for (const file of dataFiles(folder)) {
    const name = relative(folder, file).split(sep).join("/");
    const sharded = /(?:^|\/)([^/]+?)-\d{5}-of-\d{5}\.[^/]+$/.exec(name)?.[1];
    const split = splitWords.find(([, words]) => words.test(name))?.[0] ?? sharded ?? "train";
    splits.set(split, [...(splits.get(split) ?? []), file]);
  }
  return splits;
}

/** Whether there are data files below a folder. */
export const holdsData = (folder: string): boolean => dataFiles(folder).length > 0;

/** Every data file below a folder, but for hidden ones. */
function dataFiles(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.(parquet|jsonl|ndjson|json|csv|tsv|arrow)$/i.test(entry.name))
    .filter(({ name }) => !/^(dataset_infos?|state|dataset_dict|config)\.json$/.test(name))
    .map((entry) => join(entry.parentPath, entry.name))
    .filter(
      (path) =>
        !relative(folder, path)
          .split(sep)
          .some((step) => basename(step).startsWith(".")),
    );
}

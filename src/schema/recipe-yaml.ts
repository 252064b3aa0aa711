import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from "yaml";
import { RecipeError } from "./errors.ts";
import { didYouMean } from "./nearest.ts";
import { utf8Text } from "./utf8.ts";

export type FieldPath = readonly PropertyKey[];

/** A YAML file as plain values that still knows its lines. */
export interface YamlFile {
  readonly value: unknown;
  /** Line of the field at this path, or of the nearest field around it; undefined for the file as a whole. */
  lineOf(path: FieldPath): number | undefined;
}

/** What a YAML file is, in the words of its mistakes. */
const kinds = {
  recipe: "`amalgam init <folder>` writes a recipe to begin with.",
  suite: "A suite names its `benchmarks`; `suites` has some.",
  task: "A task has lm-eval's fields: `task`, `output_type`, `doc_to_text` and others.",
  sweep: "A sweep names a `recipe` and its `variants` or a `grid`; `recipes/ablations` has some.",
} as const;
type Kind = keyof typeof kinds;

/** Reads the YAML of a recipe, a suite, a sweep or a task. Throws RecipeError where the file is missing, not UTF-8, empty, or no YAML. */
export function readYaml(file: string, kind: Kind = "recipe"): YamlFile {
  const lines = new LineCounter();
  const document = parseDocument(readText(file, kind), {
    lineCounter: lines,
    prettyErrors: false,
    merge: true,
    logLevel: "error",
  });
  // Where the syntax breaks, what follows is misread: its complaints would bury the one that helps.
  const broken = document.errors.findIndex(({ code }) => !Object.hasOwn(syntaxWords, code));
  const tags = document.warnings.filter(({ code }) => code === "TAG_RESOLVE_FAILED");
  const errors = [...document.errors.slice(0, broken < 0 ? undefined : broken + 1), ...tags].map(
    ({ code, message, pos }) => {
      const line = lines.linePos(pos[0]).line;
      const [said, hint] = syntaxWords[code] ?? [`not YAML: ${firstLower(message)}`, yamlHint];
      return new RecipeError(said, { file, line, hint });
    },
  );
  const [first, ...others] = errors;
  if (first !== undefined) throw first.with(others);
  if (document.contents === null) throw new RecipeError(`the ${kind} is empty`, { file, hint: kinds[kind] });
  if (!isMap(document.contents)) {
    throw new RecipeError(`a ${kind} is a map of fields (\`name: value\`)`, { file, line: 1, hint: kinds[kind] });
  }
  let value: unknown;
  try {
    value = document.toJS();
  } catch (cause) {
    throw new RecipeError(`not YAML: ${firstLower((cause as Error).message)}`, { file, cause, hint: yamlHint });
  }
  const at = (node: Node) => (node.range ? lines.linePos(node.range[0]).line : undefined);
  return {
    value,
    lineOf(path) {
      let node: unknown = document.contents;
      let line: number | undefined;
      for (const step of path) {
        if (isAlias(node)) node = node.resolve(document);
        if (isMap(node)) {
          const pair = node.items.find(({ key }) => isScalar(key) && String(key.value) === String(step));
          if (pair === undefined) break;
          line = at(pair.key as Node) ?? line;
          node = pair.value;
        } else if (isSeq(node) && node.items[Number(step)] !== undefined) {
          node = node.items[Number(step)];
          line = at(node as Node) ?? line;
        } else break;
      }
      return line;
    },
  };
}

const yamlHint = "A value with `: ` or ` #` in it, or one that begins with a sign, stands in quotes.";

const syntaxWords: Readonly<Record<string, readonly [message: string, hint: string]>> = {
  DUPLICATE_KEY: ["this field stands twice in one map", "Take one of the two out."],
  TAB_AS_INDENT: ["a tab indents this line", "YAML is indented by spaces."],
  TAG_RESOLVE_FAILED: [
    "a tag (`!name`) stands here, and no value has one",
    "Take it out. What lm-eval has in Python (`!function`) is Jinja here, or a task in TypeScript.",
  ],
  MULTIPLE_DOCS: ["a second document begins here (`---`)", "One file holds one of them."],
};

const firstLower = (text: string) => text.charAt(0).toLowerCase() + text.slice(1).trim();

function readText(file: string, kind: Kind): string {
  let bytes: Buffer;
  try {
    bytes = readFileSync(file);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === "EISDIR")
      throw new RecipeError(`this is a folder, not a ${kind}`, { file, cause, hint: folderHint(file, kind) });
    const missing = code === "ENOENT" || code === "ENOTDIR";
    throw new RecipeError(missing ? `there is no such ${kind}` : `the ${kind} can't be read (${code})`, {
      file,
      cause,
      hint: missing ? `${suggestion(file)}${kinds[kind]}` : `A ${kind} is one YAML file that you may read.`,
    });
  }
  return decode(bytes, file);
}

function folderHint(folder: string, kind: Kind): string {
  const own = join(folder, "recipe.yaml");
  return kind === "recipe" && existsSync(own) ? `Name the recipe in it: ${own}` : `A ${kind} is one YAML file.`;
}

function suggestion(file: string): string {
  try {
    return didYouMean(basename(file), readdirSync(dirname(file)));
  } catch {
    return "";
  }
}

function decode(bytes: Buffer, file: string): string {
  const text = utf8Text(bytes);
  if (text !== undefined) return text;
  let line = 1;
  for (let start = 0; start < bytes.length; line++) {
    const end = bytes.indexOf(0x0a, start);
    const stop = end < 0 ? bytes.length : end;
    if (utf8Text(bytes.subarray(start, stop)) === undefined) break;
    start = stop + 1;
  }
  throw new RecipeError("not UTF-8: this line holds bytes that belong to no character", {
    file,
    line,
    hint: "Save the file in the encoding UTF-8.",
  });
}

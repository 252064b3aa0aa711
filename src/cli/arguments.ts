import { parseArgs } from "node:util";
import { didYouMean, type Precision, precisionSchema } from "../schema/index.ts";
import { type CommandName, commands, globalOptions, type OptionName, options } from "./command-table.ts";
import { type DataCommand, dataCommandOf } from "./data-arguments.ts";
import { type Inspecting, inspectingOf } from "./inspect-arguments.ts";
import { type LeaderboardArguments, leaderboardOf } from "./leaderboard-arguments.ts";
import { type Serving, servingOf } from "./serve-arguments.ts";
import { type SuiteArguments, suiteOf } from "./suite-arguments.ts";
import { UsageError } from "./usage-error.ts";

/** A command line that says what to do. */
export interface Arguments {
  readonly command: CommandName;
  /** The run folder, or the model of `chat`; undefined where none was named. */
  readonly target: string | undefined;
  /** Of `sweep`: its file, which stands before the folder. */
  readonly sweep: string | undefined;
  /** Of `data`: what is done, and how; the file is the target. */
  readonly data: DataCommand | undefined;
  /** Of `inspect`: what is shown, and where. */
  readonly inspect: Inspecting | undefined;
  /** Of `export`, `import` and `agreement` the folder to make, of `data convert` the file, which stands after the other name. */
  readonly destination: string | undefined;
  readonly board: LeaderboardArguments | undefined;
  /** Of `evaluate`: which models are measured by what suite. */
  readonly suite: SuiteArguments | undefined;
  /** Of `agreement`: of a folder in place of a file, which split. */
  readonly split: string | undefined;
  readonly recipe: string | undefined;
  readonly set: readonly string[];
  /** Of `train`: what to train on, and how, without a run. */
  readonly training: DataTraining | undefined;
  /** Of `serve`: what to serve, and how. */
  readonly serving: Serving | undefined;
  readonly offline: boolean;
  readonly profile: boolean;
  readonly retry: boolean;
  readonly withoutModels: boolean;
  /** Of `export`: what is written. */
  readonly form: "run" | "dataset";
  readonly dryRun: boolean;
  readonly json: boolean;
  /** Of `chat` and `serve`: what to compute in. */
  readonly precision: Precision | undefined;
  readonly temperature: string | undefined;
  readonly maxTokens: string | undefined;
}

/** What `train --data` names. */
export interface DataTraining {
  readonly data: readonly string[];
  readonly split: string | undefined;
  readonly evalData: readonly string[];
  readonly evalSplit: string | undefined;
  readonly objective: string;
  readonly model: string;
  readonly output: string;
}

export type Parsed =
  | { readonly kind: "run"; readonly arguments: Arguments }
  | { readonly kind: "help"; readonly command: CommandName | undefined }
  | { readonly kind: "version" };

const isCommand = (name: string): name is CommandName => Object.hasOwn(commands, name);

/** Reads the words after `amalgam`. Throws UsageError for what no command knows, with what was probably meant. */
export function parseArguments(words: readonly string[]): Parsed {
  const at = words.findIndex((word) => !word.startsWith("-"));
  const named = at < 0 ? undefined : words[at]!;
  if (named === undefined) {
    const [first] = words;
    if (first === undefined || first === "--help" || first === "-h") return { kind: "help", command: undefined };
    if (first === "--version" || first === "-v") return { kind: "version" };
    throw new UsageError(
      `unknown option ${first}`,
      `${didYouMean(first, globalOptions)}\`amalgam --help\` lists the commands.`,
    );
  }
  if (named === "help") {
    const topic = words[at + 1];
    return { kind: "help", command: topic !== undefined && isCommand(topic) ? topic : undefined };
  }
  if (!isCommand(named)) {
    throw new UsageError(
      `unknown command ${named}`,
      `${didYouMean(named, Object.keys(commands))}\`amalgam --help\` lists the commands.`,
    );
  }
  return parseCommand(named, words.toSpliced(at, 1));
}

function parseCommand(command: CommandName, words: readonly string[]): Parsed {
  const known: readonly OptionName[] = commands[command].options;
  const parsed = parseArgs({
    args: [...words],
    strict: false,
    allowPositionals: true,
    tokens: true,
    options: Object.fromEntries(
      known.map((name) => [
        name,
        { type: options[name].value === undefined ? ("boolean" as const) : ("string" as const) },
      ]),
    ),
  });
  const given = new Map<string, string[]>();
  const positionals: string[] = [];
  for (const token of parsed.tokens) {
    if (token.kind === "positional") positionals.push(token.value);
    if (token.kind !== "option") continue;
    if (token.name === "help" || token.name === "h") return { kind: "help", command };
    const option = known.find((name) => name === token.name);
    if (option === undefined || !token.rawName.startsWith("--")) {
      const near = didYouMean(
        token.rawName,
        known.map((name) => `--${name}`),
      );
      throw new UsageError(
        `${command} has no option ${token.rawName}`,
        `${near}\`amalgam ${command} --help\` lists them.`,
      );
    }
    const wantsValue = options[option].value !== undefined;
    if (wantsValue && (token.value === undefined || (token.inlineValue === false && token.value.startsWith("--")))) {
      throw new UsageError(`--${option} wants a value: --${option} ${options[option].value}`);
    }
    if (!wantsValue && token.value !== undefined) throw new UsageError(`--${option} takes no value`);
    given.set(option, [...(given.get(option) ?? []), token.value ?? ""]);
  }
  const single = (name: OptionName): string | undefined => {
    const values = given.get(name) ?? [];
    if (values.length > 1) throw new UsageError(`--${name} stands twice`);
    return values[0];
  };
  const sweep = command === "sweep" ? positionals.shift() : undefined;
  const data =
    command === "data"
      ? dataCommandOf(positionals.shift(), [...given.keys()], given.get("against") ?? [], single)
      : undefined;
  const two = ["export", "import", "agreement"].includes(command) || data?.action === "convert";
  const [destination] = two ? positionals.splice(1, 1) : [];
  const board = command === "leaderboard" ? leaderboardOf(positionals, single) : undefined;
  const suite = command === "evaluate" ? suiteOf(positionals, single) : undefined;
  if (positionals.length > 1) {
    throw new UsageError(
      `${command} takes one ${commands[command].positional}, and was given ${[sweep, ...positionals, destination].filter((word) => word !== undefined).join(" and ")}`,
      "A name with spaces stands in quotes.",
    );
  }
  const set = given.get("set") ?? [];
  const odd = set.find((text) => !/^[^=]+=/.test(text));
  if (odd !== undefined)
    throw new UsageError(
      `--set ${odd} names no field and value`,
      "Write --set field.inner=value, for example --set sampling.n=8.",
    );
  const elsewhere = command === "import" ? set.find((text) => !text.startsWith("ledger.")) : undefined;
  if (elsewhere !== undefined)
    throw new UsageError(
      `import changes no field but those of ledger, and was given --set ${elsewhere}`,
      "Change the recipe.yaml of the run when it is there.",
    );
  const training =
    command === "train" ? dataTraining(given.get("data") ?? [], given.get("eval-data") ?? [], single) : undefined;
  if (training !== undefined && (positionals.length > 0 || given.has("recipe")))
    throw new UsageError(
      `train --data takes neither a run folder nor a recipe`,
      "Without --data, train does its part of a run; with it, --model and --output say from where and to where.",
    );
  return {
    kind: "run",
    arguments: {
      command,
      target: positionals[0],
      sweep,
      data,
      inspect: command === "inspect" ? inspectingOf((name) => given.get(name) ?? [], single) : undefined,
      destination,
      board,
      suite,
      split: command === "agreement" ? single("split") : undefined,
      recipe: single("recipe"),
      set,
      training,
      serving: command === "serve" ? servingOf(positionals[0], (name) => given.get(name) ?? [], single) : undefined,
      offline: single("offline") !== undefined,
      profile: single("profile") !== undefined,
      retry: single("retry") !== undefined,
      withoutModels: single("without-models") !== undefined,
      form: formOf(single("as"), given.has("without-models")),
      dryRun: single("dry-run") !== undefined,
      json: single("json") !== undefined,
      precision: precisionOf(single("precision")),
      temperature: single("temperature"),
      maxTokens: single("max-tokens"),
    },
  };
}

function formOf(given: string | undefined, withoutModels: boolean): "run" | "dataset" {
  if (given !== undefined && given !== "run" && given !== "dataset")
    throw new UsageError(`--as ${given}: it is run or dataset`);
  if (given === "dataset" && withoutModels)
    throw new UsageError("--without-models belongs to the export of a whole run");
  return given ?? "run";
}

function precisionOf(given: string | undefined): Precision | undefined {
  const precision = precisionSchema.optional().safeParse(given);
  if (precision.success) return precision.data;
  throw new UsageError(`--precision ${given}: it is auto, fp32 or bf16`);
}

/** The options of a training without a run: all four that it needs, or none. */
function dataTraining(
  data: readonly string[],
  evalData: readonly string[],
  single: (name: OptionName) => string | undefined,
) {
  const [objective, model, output] = (["objective", "model", "output"] as const).map(single);
  const [split, evalSplit] = (["split", "eval-split"] as const).map(single);
  if (split !== undefined && data.length === 0) throw new UsageError("--split belongs to --data FOLDER");
  if (evalSplit !== undefined && evalData.length === 0)
    throw new UsageError("--eval-split belongs to --eval-data FOLDER");
  const given = { data: data[0], objective, model, output };
  const [lacking] = Object.entries(given).filter(([, value]) => value === undefined || value === "");
  if (Object.values(given).every((value) => value === undefined) && evalData.length === 0) return undefined;
  if (lacking !== undefined)
    throw new UsageError(
      `--${lacking[0]} is missing`,
      "Training on data of your own: amalgam train --data FILE --objective NAME --model MODEL --output FOLDER",
    );
  return { data, split, evalData, evalSplit, objective: objective!, model: model!, output: output! };
}

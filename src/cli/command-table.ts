/** Every option of the command line. One with `value` takes a value of that description. */
export const options = {
  recipe: {
    value: "FILE",
    text: "the recipe; without it, the recipe.yaml of the run folder, or the one that the sweep names",
  },
  data: {
    value: "FILE",
    text: "train on this JSONL, Parquet, CSV or Arrow file or data set's folder, without a run (may be repeated); with --suite the folder in which the suite's files lie",
  },
  suite: {
    value: "NAME|FILE",
    text: "measure models by the benchmarks of this suite: `small` and `paper` come with Amalgam",
  },
  "eval-data": { value: "FILE", text: "with --data: evaluate on the rows of this file or folder (may be repeated)" },
  "eval-split": { value: "NAME", text: "of a folder of --eval-data: its split (default test, or the only one)" },
  objective: { value: "NAME", text: "with --data: sft, dpo, wrpo, simpo and others of the guide's table" },
  model: {
    value: "MODEL",
    text: "a folder or .gguf file, owner/name on the hub, or package:NAME; for serve NAME=MODEL (may be repeated)",
  },
  output: {
    value: "FOLDER",
    text: "of train --data: where model, checkpoints, metrics and report go; with --suite: where answers, judgements and tables go",
  },
  set: { value: "FIELD=VALUE", text: "change a field of the recipe: --set sampling.n=8 (may be repeated)" },
  offline: { value: undefined, text: "fetch nothing: use only models that are on this machine" },
  profile: {
    value: undefined,
    text: "record two steps of each training: a Chrome trace in `profiles`, and a table of where the time went",
  },
  retry: {
    value: undefined,
    text: "ask again for responses that could not be had, round after round while that brings some",
  },
  to: {
    value: "FORM",
    text: "of `data convert`: preferences, texts, binarized, quadruples, scored, completions, messages or unpaired",
  },
  split: { value: "NAME", text: "of a data set's folder: its split (default train, or the only one)" },
  lossy: { value: undefined, text: "of `data convert`: leave out what the form can't hold, and count it" },
  as: {
    value: "run|dataset",
    text: "run: all of it, for import (default); dataset: what was selected, as a data set of Hugging Face's form",
  },
  "without-models": { value: undefined, text: "leave models and checkpoints out" },
  "dry-run": { value: undefined, text: "only say what would be removed" },
  json: { value: undefined, text: "print JSON" },
  against: {
    value: "FILE",
    text: "an evaluation set (a data file or folder) that no row may share words with (may be repeated)",
  },
  ngram: { value: "WORDS", text: "with --against: words in a row that count as a leak (default 13)" },
  "near-duplicates": {
    value: "SHARE",
    text: "similarity from which on prompts are near duplicates; 0 looks for none (default 0.8)",
  },
  "max-characters": { value: "NUMBER", text: "most characters of a row (default 100000)" },
  id: { value: "ID", text: "only the prompt of this id (may be repeated)" },
  source: { value: "NAME", text: "only prompts whose preferred response is of this source" },
  domain: { value: "NAME", text: "only prompts of this domain" },
  flag: {
    value: "NAME",
    text: "only prompts with a response that is empty, truncated, repeated, mixed (scripts) or has a template token",
  },
  search: { value: "TEXT", text: "only prompts with this text in them or in a response" },
  "min-gap": { value: "NUMBER", text: "least difference of the rewards of the chosen and the rejected response" },
  "max-gap": { value: "NUMBER", text: "the most" },
  sample: { value: "N", text: "so many of these prompts, drawn by lot" },
  seed: { value: "NUMBER", text: "with --sample: which lot (default 0)" },
  most: { value: "N", text: "so many prompts at most (all; with --html 1000)" },
  html: {
    value: "FILE",
    text: "write a page that needs no network, in place of the text (1000 prompts unless --most says more)",
  },
  gamed: {
    value: "FILE",
    text: "AlpacaEval's df_gamed.csv (of the data set tatsu-lab/alpaca_eval): lengths are controlled by it",
  },
  "fold-order": {
    value: "scalar|avx512",
    text: "of which machine the folds of the length control are; rates differ by up to 0.13 (default scalar)",
  },
  temperature: { value: "NUMBER", text: "0 always takes the most probable token (default 0.7)" },
  adapter: {
    value: "NAME=FOLDER",
    text: "serve these LoRA adapters, too; with several models NAME@MODEL=FOLDER (may be repeated)",
  },
  "adapter-root": { value: "FOLDER", text: "clients may load adapters that lie below this folder" },
  host: { value: "ADDRESS", text: "where to listen (default 127.0.0.1: this machine only)" },
  port: { value: "NUMBER", text: "the port; 0 takes a free one (default 8000)" },
  "key-env": {
    value: "VARIABLE",
    text: "clients must send the key that this environment variable holds (may be repeated: any of them)",
  },
  cache: {
    value: "NAME=MIB",
    text: "memory for keys and values of a model or adapter, in place of the limit cache_mib (may be repeated)",
  },
  limit: {
    value: "FIELD=NUMBER",
    text: "change a limit: --limit running=32 (may be repeated; docs/serve.md lists them)",
  },
  precision: { value: "auto|fp32|bf16", text: "the type to compute in (default auto: what this machine is fast at)" },
  device: { value: "DEVICE", text: "cpu, or cuda or cuda:1 (default cpu)" },
  "max-tokens": { value: "NUMBER", text: "most tokens of an answer (default 1024)" },
} as const satisfies Record<string, { readonly value: string | undefined; readonly text: string }>;

export type OptionName = keyof typeof options;

export const globalOptions = ["--help", "--version"];

interface Command {
  readonly summary: string;
  readonly positional: string;
  /** Whether the command works without one. */
  readonly optional: boolean;
  readonly options: readonly OptionName[];
  readonly details: string;
}

const stage = { positional: "RUN FOLDER", optional: true, options: ["recipe", "set", "offline"] } as const;
const here = "Without a run folder, the current folder is taken if it is one.";

/** Every command, in the order in which they are used. */
export const commands = {
  init: {
    summary: "write a recipe and a few prompts to begin with",
    positional: "FOLDER",
    optional: false,
    options: [],
    details: "Files that are there already are never overwritten.",
  },
  doctor: {
    summary: "check the machine, and a recipe's models, endpoints, prompts and needs",
    positional: "RUN FOLDER",
    optional: true,
    options: ["recipe", "set", "offline", "json"],
    details:
      "Computes nothing but two small measurements, and fetches no model. Ends with exit code 1 where there is a problem.",
  },
  run: {
    ...stage,
    options: [...stage.options, "profile"],
    summary: "the whole way: sample, score, select, tune, WRPO, evaluate, report",
    details: `Stopped or killed at any moment, the same command goes on where it was. ${here}`,
  },
  sample: {
    ...stage,
    options: [...stage.options, "retry"],
    summary: "draw the responses of the sources; after the tuning, those of the tuned target",
    details: here,
  },
  score: { ...stage, summary: "give every response its reward", details: here },
  select: {
    ...stage,
    summary: "choose the responses to tune on; after the tuning, the quadruples for WRPO",
    details: here,
  },
  train: {
    ...stage,
    options: [
      "recipe",
      "set",
      "data",
      "split",
      "eval-data",
      "eval-split",
      "objective",
      "model",
      "output",
      "offline",
      "profile",
    ],
    summary: "tune the target on the best responses, then WRPO on the quadruples; or train on data of your own",
    details: `${here} With --data no run is needed: --set then changes a setting of the training, as --set learning_rate=1e-6; stopped or killed, the same command goes on.`,
  },
  evaluate: {
    positional: "RUN FOLDER | MODEL...",
    optional: true,
    options: ["recipe", "suite", "data", "output", "set", "offline", "json"],
    summary: "compare a run's models on held-out prompts; or with --suite, any models by benchmarks",
    details: `Without --suite: models before and after, and the report. ${here} With --suite and --output: each MODEL is a folder or .gguf file, owner/name on the hub or package:NAME, NAME=MODEL, or a run folder, which stands for its sources, its target and what was made of it; --set changes a field of the suite. Stopped or killed, the same command goes on.`,
  },
  sweep: {
    summary: "run variants of a recipe, sharing what they have in common, and compare them",
    positional: "SWEEP.yaml FOLDER",
    optional: false,
    options: ["recipe", "set", "offline"],
    details:
      "Each variant is a run in FOLDER/<variant>. Stopped or killed at any moment, the same command goes on. Ends with exit code 1 where a variant failed; the others are done.",
  },
  status: {
    summary: "how far a run or a sweep is; it may be running",
    positional: "RUN FOLDER",
    optional: true,
    options: ["json"],
    details: here,
  },
  recover: {
    summary: "check a run's ledger, and save what can be read of a damaged one",
    positional: "RUN FOLDER",
    optional: true,
    options: [],
    details: `Reads all of the ledger. Where it is damaged, a new one with every row that can be read takes its place; the damaged file is kept beside it, and the run goes on and asks only for what is lost. ${here}`,
  },
  inspect: {
    summary: "browse prompts and responses of a run or of data, in the terminal or as a page",
    positional: "RUN FOLDER, FILE OR DATA FOLDER",
    optional: true,
    options: [
      ...(["id", "source", "domain", "flag", "search", "min-gap", "max-gap"] as const),
      ...(["sample", "seed", "most", "html", "split"] as const),
    ],
    details: `All responses of each prompt, the best reward first, with their parts, what was chosen, and the diff of chosen and rejected; made to be read with less. The run may be going on. ${here}`,
  },
  export: {
    summary: "write a whole run as Parquet files, or what it selected as a data set",
    positional: "RUN FOLDER",
    optional: false,
    options: ["as", "without-models"],
    details:
      "RUN is the run folder, FOLDER a new one for the export. As a data set: quadruples as preferences in TRL's form and the rows of supervised tuning, as Parquet files with a card that Python's load_dataset opens. As a run: the tables of the ledger become Parquet files; the recipe, the models and the other files of the run folder are copied beside them. FOLDER appears whole or not at all.",
  },
  import: {
    summary: "make a run of an export",
    positional: "FOLDER RUN",
    optional: false,
    options: ["set"],
    details:
      "FOLDER is what `amalgam export` wrote, RUN a new run folder, which appears whole or not at all. --set changes fields of `ledger` only: --set ledger.url=postgresql://user@host/database --set ledger.schema=my_run puts the ledger into PostgreSQL.",
  },
  data: {
    summary: "`check FILE`: what is wrong with a file of preferences; `convert FILE NEW`: write it in another form",
    positional: "check FILE | convert FILE NEW",
    optional: false,
    options: ["against", "ngram", "near-duplicates", "max-characters", "to", "split", "lossy", "json"],
    details:
      "Any file or data set's folder that `train --data` reads. check: duplicates, contradictions, equal and empty responses, tokens of chat templates, leaks, lengths; ends with exit code 1 where something is wrong. convert: NEW is a .jsonl or .parquet file in the form that --to names; what it can't hold is an error, or with --lossy left out and counted.",
  },
  agreement: {
    summary: "how far the rewards of a recipe agree with the labels of a file, and with each other",
    positional: "FILE FOLDER",
    optional: false,
    options: ["recipe", "set", "split", "offline", "json"],
    details:
      "FILE, or a data set's folder, has pairs, as RewardBench, or responses with scores or ratings; FOLDER is a new one, for the scores and what comes out. Accuracy by subset, Kendall's tau-b and Cohen's kappa, and the weights of the rewards that fit the labels best. Stopped or killed, the same command goes on.",
  },
  leaderboard: {
    summary: "AlpacaEval's win rates, length-controlled ones too, from a judge's annotations",
    positional: "ANNOTATIONS...",
    optional: false,
    options: ["gamed", "fold-order", "json"],
    details:
      "Each file is an annotations.json as alpaca-eval writes it, of one model or several. The figures are those of alpaca-eval 0.6.6; where judge, baseline or the number of instructions are not those of the published leaderboard, they are called not official.",
  },
  gc: {
    summary: "remove from a run what its recipe no longer refers to",
    positional: "RUN FOLDER",
    optional: true,
    options: ["dry-run", "offline"],
    details: `Responses and scores of earlier settings, log-probs of other references, stale checkpoints, files of a stage that is off. The run may be anywhere on its way, and goes on as it would have. ${here}`,
  },
  chat: {
    summary: "talk to a model, or to the fused model of a run",
    positional: "MODEL OR RUN FOLDER",
    optional: false,
    options: ["temperature", "max-tokens", "precision", "offline"],
    details:
      "A model is a folder or .gguf file, owner/name on the hub, or package:NAME. Text that is piped in is answered once.",
  },
  serve: {
    summary: "serve models over OpenAI's HTTP API",
    positional: "MODEL OR RUN FOLDER",
    optional: true,
    options: [
      "model",
      "adapter",
      "adapter-root",
      "host",
      "port",
      "key-env",
      "cache",
      "limit",
      "precision",
      "device",
      "offline",
    ],
    details:
      "One model, or several with --model; a run folder stands for its fused model. SIGTERM and Ctrl-C end what is under way first. The log goes to standard error, a line of JSON a request.",
  },
} as const satisfies Record<string, Command>;

export type CommandName = keyof typeof commands;

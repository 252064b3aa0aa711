import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { describe, expect, test } from "vitest";
import { objectiveOf } from "../objectives/index.ts";
import { instructions } from "../rewards/index.ts";
import {
  dataTrainingSettings,
  loraSchema,
  objectiveDefaults,
  optimiserDefaults,
  pairModifiers,
  recipeSchema,
  suiteSchema,
  sweepSchema,
} from "../schema/index.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const read = (file: string) => readFileSync(join(root, file), "utf8");
const documents = [
  "README.md",
  "CONTRIBUTING.md",
  "CHANGELOG.md",
  "docs/architecture.md",
  "docs/ablations.md",
  "docs/alpaca-eval.md",
  "docs/arena-hard-and-mt-bench.md",
  "docs/evaluate.md",
  "docs/guide.md",
  "docs/leaderboard.md",
  "docs/tasks.md",
  "docs/training.md",
  ...readdirSync(join(root, "docs/decisions")).map((name) => `docs/decisions/${name}`),
];
const guide = read("docs/guide.md");

/** Cells of the table rows below a heading, up to the next one. */
function rowsBelow(heading: string, text = guide): string[][] {
  const [, after] = text.split(`\n${heading}\n`);
  expect(after, heading).toBeDefined();
  const rows = after!.split(/\n#/)[0]!.split("\n");
  return rows
    .filter((line) => line.startsWith("| `"))
    .map((line) => line.split(/(?<!\\)\|/).map((cell) => cell.trim()));
}

describe.each(documents)("%s", (file) => {
  const text = read(file);
  const prose = text.replace(/```[\s\S]*?```/g, "");

  test("every path that it names is there", () => {
    const named = [...prose.matchAll(/`((?:src|native|scripts|bench|recipes|suites|docs)\/[^`\s<*]*)`/g)].map(
      ([, path]) => path!,
    );
    expect(named.filter((path) => !existsSync(join(root, path)))).toEqual([]);
  });

  test("every link to a file leads to one", () => {
    const links = [...prose.matchAll(/\]\((?!https?:)([^)#]+)/g)].map(([, path]) => path!);
    expect(links.filter((path) => !existsSync(join(root, dirname(file), path)))).toEqual([]);
  });
});

test("docs/evaluate.md has every field of a suite", () => {
  const fields = [...read("docs/evaluate.md").matchAll(/^\| `(\w+)` \|/gm)].map(([, name]) => name!);
  expect(fields.sort()).toEqual(Object.keys(suiteSchema.shape).sort());
});

test("docs/ablations.md has every field of a sweep, and every sweep that comes with Amalgam", () => {
  const text = read("docs/ablations.md");
  const fields = rowsBelow("## The file", text).map(([, field]) => field!.replaceAll("`", ""));
  expect(fields).toEqual(Object.keys(sweepSchema.shape));
  const sweeps = rowsBelow("## The paper's ablations", text).map(([, file]) => file!.replaceAll("`", ""));
  const there = readdirSync(join(root, "recipes/ablations")).filter((name) => name !== "base.yaml");
  expect(sweeps.sort()).toEqual(there.map((name) => `recipes/ablations/${name}`).sort());
});

describe("docs/guide.md", () => {
  test("has every check with an example of its arguments and what they demand", () => {
    const rows = rowsBelow("### Checks");
    expect(rows.map(([, id]) => id!.replaceAll("`", ""))).toEqual([...instructions.keys()]);
    for (const [, id, args, demand] of rows) {
      const instruction = instructions.get(id!.replaceAll("`", ""))!;
      expect(demand!.replaceAll("\\", "")).toBe(instruction.describe(JSON.parse(args!.replaceAll("`", ""))));
    }
  });

  const { shape } = recipeSchema;
  const union = (schema: typeof shape.sources.element | typeof shape.rewards.element) =>
    Object.assign({}, ...schema.options.map((option) => option.shape)) as Record<string, unknown>;
  const endpoint = shape.sources.element.options[1].shape.endpoint.shape;
  const { learning_rate: _, enabled, ...training } = shape.sft.unwrap().shape;
  const both = new Set(["learning_rate", ...Object.keys(training)]);
  const wrpoOnly = Object.entries(shape.wrpo.unwrap().shape).filter(([field]) => !both.has(field));
  const fields: [heading: string, fields: Record<string, unknown>][] = [
    ["### `target`, and every other embedded model", shape.target.shape],
    ["### `endpoint`: a server", endpoint],
    ["### `budget`", shape.budget.unwrap().shape],
    ["### `prompts`, and `evaluation.prompts`", shape.prompts.shape],
    ["### `sampling`", shape.sampling.unwrap().shape],
    ["### `selection`", shape.selection.unwrap().shape],
    ["### `sft` and `wrpo`: training", training],
    ["### `sft` only", { enabled }],
    ["### `lora`", loraSchema.shape],
    ["### `logging`", shape.logging.unwrap().shape],
    ["### `wandb`", shape.logging.unwrap().shape.wandb.unwrap().shape],
    ["### `wrpo` only", Object.fromEntries(wrpoOnly)],
  ];

  test.each(fields)("%s: every field with its default", (heading, schemas) => {
    const rows = new Map(rowsBelow(heading).map(([, field, value]) => [field!.replaceAll("`", ""), value!]));
    rows.delete("learning_rate");
    expect([...rows.keys()].sort()).toEqual(Object.keys(schemas).sort());
    for (const [field, schema] of Object.entries(schemas)) {
      const written = rows.get(field)!.replaceAll("`", "");
      const value = defaultOf(schema);
      if (value === undefined) expect(written, field).toMatch(/^(-|no key|the model's own)$/);
      else if (typeof value === "string") expect(written, field).toBe(value);
      else expect(JSON.parse(written), field).toEqual(value);
    }
  });

  test.each([
    ["### `sources`: a list", union(shape.sources.element), ["precision", "device", "chat_template", "adapter"]],
    [
      "### `rewards`: a list, weighed against each other",
      union(shape.rewards.element),
      ["precision", "device", "chat_template", "adapter"],
    ],
  ])("%s: every field", (heading, schemas, elsewhere) => {
    const rows = rowsBelow(heading)
      .map((cells) => cells[1]!)
      .join(" ");
    for (const field of Object.keys(schemas)) if (!elsewhere.includes(field)) expect(rows).toContain(`\`${field}\``);
  });

  /** What a table says of names and the defaults of their settings, and what the program says. */
  const settingsBelow = (heading: string) =>
    rowsBelow(heading).map(([, name, , defaults]) => [
      name!.replace(/[`* ]/g, ""),
      Object.fromEntries([
        ...[...defaults!.matchAll(/`(\w+): (\S+)`/g)].map(([, field, value]) => [field, value]),
        ...(/, modifiers/.test(defaults!)
          ? Object.entries(pairModifiers).map(([field, value]) => [field, `${value}`])
          : []),
      ]),
    ]);
  const asWritten = (all: Readonly<Record<string, object>>) =>
    Object.entries(all).map(([name, defaults]) => [
      name,
      Object.fromEntries(Object.entries(defaults).map(([field, value]) => [field, String(value)])),
    ]);

  test("has every optimiser with its defaults", () => {
    expect(settingsBelow("### Optimisers")).toEqual(asWritten(optimiserDefaults));
  });

  test("has every objective with its defaults", () => {
    expect(settingsBelow("### Objectives")).toEqual([...asWritten(objectiveDefaults), ["mixture", {}]]);
    for (const [, name] of rowsBelow("### Objectives")) {
      const bare = name!.replace(/[`* ]/g, "");
      if (bare === "mixture") continue;
      const { needsReference } = objectiveOf(recipeSchema.shape.wrpo.parse({ objective: bare }));
      expect(name!.endsWith("*"), bare).toBe(!needsReference);
    }
  });

  test("has the fields of the run and of evaluation", () => {
    const rows = (heading: string) => rowsBelow(heading).map((cells) => cells[1]!.replaceAll("`", ""));
    expect(rows("### The run")).toEqual(["name", "seed", "prompts"]);
    expect(rows("### `evaluation`").sort()).toEqual(Object.keys(shape.evaluation.shape).sort());
    expect(Object.keys(shape)).toEqual(
      expect.arrayContaining([
        "name",
        "seed",
        "prompts",
        "target",
        "sources",
        "sampling",
        "rewards",
        "selection",
        "sft",
        "wrpo",
        "evaluation",
      ]),
    );
  });
});

describe("CONTRIBUTING.md", () => {
  test("the files that it shows compile in their places", () => {
    const blocks = [...read("CONTRIBUTING.md").matchAll(/```ts\n\/\/ (src\/\S+)\n([\s\S]*?)```/g)];
    const shown = new Map(blocks.map(([, path, text]) => [join(root, path!), text!]));
    expect(shown.size).toBeGreaterThanOrEqual(4);
    const { config } = ts.readConfigFile(join(root, "tsconfig.json"), ts.sys.readFile);
    const { options } = ts.parseJsonConfigFileContent(config, ts.sys, root);
    const host = ts.createCompilerHost(options);
    const { fileExists, readFile } = host;
    host.fileExists = (file) => shown.has(file) || fileExists(file);
    host.readFile = (file) => shown.get(file) ?? readFile(file);
    const program = ts.createProgram([...shown.keys()], options, host);
    const found = [...shown.keys()].flatMap((file) => {
      const source = program.getSourceFile(file)!;
      return [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)];
    });
    expect(found.map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, "\n"))).toEqual([]);
  });
});

/** The default of a schema; undefined where there is none. */
function defaultOf(schema: unknown): unknown {
  const { def } = schema as { def: { type: string; defaultValue?: unknown } };
  return def.type === "default" ? def.defaultValue : undefined;
}

test("docs/training.md has every setting that the stages of a recipe have not, with its default", () => {
  const own = Object.entries(dataTrainingSettings("sft")).filter(
    ([field]) => !(field in recipeSchema.shape.sft.unwrap().shape),
  );
  const rows = rowsBelow("## Settings", read("docs/training.md")).map(([, field, value]) => [field, value]);
  for (const [field, value] of own)
    if (field !== "objective" && field !== "logging") expect(rows).toContainEqual([`\`${field}\``, `\`${value}\``]);
});

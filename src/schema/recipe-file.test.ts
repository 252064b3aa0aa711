import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { parse } from "yaml";
import { describeError, RecipeError } from "./errors.ts";
import { objectiveDefaults, objectiveFields, pairModifiers } from "./objectives.ts";
import { recipeSchema } from "./recipe.ts";
import { loadRecipe, recipeJsonSchema, resolvedRecipe, resolvedYaml } from "./recipe-file.ts";

const folder = mkdtempSync(join(tmpdir(), "recipe-"));
afterAll(() => rmSync(folder, { recursive: true }));
writeFileSync(join(folder, "train.jsonl"), '{"prompt": "a"}\n');
writeFileSync(join(folder, "held-out.jsonl"), '{"prompt": "b"}\n');

const good = `name: first
prompts:
  file: train.jsonl
target:
  model: package:smollm2-135m-instruct
sources:
  - name: near
    model: package:gemma-3-270m
  - name: far
    endpoint:
      url: http://localhost:8000/v1
      model: big
      key_env: BIG_KEY
rewards:
  - kind: checks
  - kind: judge
    name: judge
    model: package:smollm2-135m-instruct
evaluation:
  prompts:
    file: held-out.jsonl
`;
const file = join(folder, "recipe.yaml");

function write(text: string | Uint8Array): string {
  writeFileSync(file, text);
  return file;
}

/** The mistakes of a recipe as [line, field, message], and the first one's hint. */
function mistakes(text: string | Uint8Array, overrides: readonly string[] = []) {
  try {
    loadRecipe(write(text), overrides);
  } catch (error) {
    if (!(error instanceof RecipeError)) throw error;
    const all = [error, ...error.others];
    for (const { place } of all) if (place.line !== undefined) expect(place.file).toBe(file);
    return { all: all.map(({ place, message }) => [place.line, place.field, message]), hint: error.hint };
  }
  throw new Error("the recipe was accepted");
}

/** The one mistake that comes of replacing a text in the good recipe. */
function mistake(from: string, to: string) {
  expect(good).toContain(from);
  const { all, hint } = mistakes(good.replace(from, to));
  expect(all).toHaveLength(1);
  const [line, field, message] = all[0]!;
  return { line, field, message, hint };
}

describe("a good recipe", () => {
  test("has every default filled in, the paper's values", () => {
    const { recipe, baseFolder } = loadRecipe(write(good));
    expect(baseFolder).toBe(folder);
    expect(recipe.sampling).toEqual({ n: 5, temperature: 0.8, top_p: 0.95, top_k: 0, max_tokens: 2048, stop: [] });
    expect(recipe.wrpo).toMatchObject({
      learning_rate: 3e-7,
      beta: 0.01,
      alpha: 0.1,
      batch_size: 128,
      warmup_ratio: 0.1,
    });
    expect(recipe.sft.learning_rate).toBe(7e-6);
    expect(recipe.selection.sft_share).toBeCloseTo(1 / 3, 15);
  });

  test("has the settings of its objective, and those only", () => {
    const wrpo = (given: object) => {
      const found = recipeSchema.shape.wrpo.parse(given);
      const objective = ["objective", "parts", ...Object.keys(objectiveFields)];
      return Object.fromEntries(Object.entries(found).filter(([field]) => objective.includes(field)));
    };
    expect(wrpo({})).toEqual({
      objective: "wrpo",
      beta: 0.01,
      alpha: 0.1,
      alpha_schedule: "linear",
      source_weights: "equal",
      label_smoothing: 0,
    });
    for (const [objective, defaults] of Object.entries(objectiveDefaults))
      expect(wrpo({ objective })).toEqual({ objective, ...defaults });
    expect(wrpo({ objective: "wrpo_simpo", beta: 2 })).toMatchObject({ beta: 2, gamma: 0, alpha: 0.5 });
    expect(wrpo({ objective: "mixture", parts: [{ objective: "hinge" }, { objective: "sft", weight: 2 }] })).toEqual({
      objective: "mixture",
      parts: [
        { objective: "hinge", weight: 1, beta: 0.05, ...pairModifiers },
        { objective: "sft", weight: 2 },
      ],
    });
    expect(recipeSchema.shape.wrpo.parse(wrpo({ objective: "ipo" }))).toMatchObject(wrpo({ objective: "ipo" }));
  });

  test("takes overrides by field and by entry, typed as in YAML, the later over the earlier", () => {
    const { recipe } = loadRecipe(write(good), [
      "wrpo.alpha=0.5",
      "sources.0.sampling.temperature=0",
      "sources.1.endpoint.model=other=1",
      "sampling={n: 2}",
      "wrpo.activation_checkpointing=layer",
      "wrpo.alpha=1",
    ]);
    expect(recipe.wrpo).toMatchObject({ alpha: 1, activation_checkpointing: "layer" });
    expect(recipe.sources[0]!.sampling).toEqual({ temperature: 0 });
    expect(recipe.sources[1]).toMatchObject({ endpoint: { model: "other=1", concurrency: 8 } });
    expect(recipe.sampling.n).toBe(2);
  });

  test("takes a template as it was given, and in quotes by their rules", () => {
    const jinja = "{{ bos }}\n{% if x %}: y #{% endif %}\n";
    const given = [jinja, JSON.stringify(jinja), "plain", "'it''s'"].map((text) => `target.chat_template=${text}`);
    expect(given.map((text) => loadRecipe(write(good), [text]).recipe.target.chat_template)).toEqual([
      jinja,
      jinja,
      "plain",
      "it's",
    ]);
    expect(mistakes(good, ["target.chat_template="]).all[0]![2]).toMatch(/is empty/);
  });

  test("has micro-batches by the number or by what the memory holds, and early stopping with its defaults", () => {
    const { recipe } = loadRecipe(write(good), [
      "sft.micro_batch_tokens=auto",
      "wrpo.held_out_share=0.1",
      "wrpo.early_stopping={}",
      "wrpo.keep_best=2",
    ]);
    expect([recipe.sft.micro_batch_tokens, recipe.wrpo.micro_batch_tokens]).toEqual(["auto", 4096]);
    expect(recipe.wrpo.early_stopping).toEqual({ metric: "loss", patience: 3, min_delta: 0 });
    const form = "must be a number of tokens of 16 or more, or `auto`";
    for (const [wrong, message] of [
      ["some", form],
      ["8", "is 8, and must be at least 16"],
      ["1000.5", form],
    ])
      expect(mistakes(good, [`sft.micro_batch_tokens=${wrong}`]).all).toEqual([
        [undefined, "sft.micro_batch_tokens", message],
      ]);
    for (const [field, value] of [
      ["early_stopping", "{patience: 2}"],
      ["keep_best", "1"],
    ] as const)
      for (const stage of ["sft", "wrpo"])
        expect(mistakes(good, [`${stage}.${field}=${value}`]).all).toEqual([
          [undefined, `${stage}.${field}`, expect.stringMatching(/no rows are held out for one: set held_out_share/)],
        ]);
  });

  test("shares fields by anchors and merge keys", () => {
    const shared = good
      .replace(
        "    model: package:gemma-3-270m\n",
        "    endpoint: &far\n      url: http://localhost:8000/v1\n      model: small\n",
      )
      .replace("      url: http://localhost:8000/v1\n      model: big\n", "      <<: *far\n      model: big\n");
    const { recipe } = loadRecipe(write(shared));
    expect(recipe.sources[1]).toMatchObject({ endpoint: { url: "http://localhost:8000/v1", model: "big" } });
  });
});

describe("a mistake is named by file, line and field", () => {
  test("unknown field, at any depth", () => {
    expect(mistake("name: first", "nme: first")).toEqual({
      line: 1,
      field: "nme",
      message: "unknown field",
      hint: "Did you mean name? The fields here are name, seed, prompts, target, sources, sampling, rewards, selection, sft, wrpo, logging, evaluation.",
    });
    expect(mistake("key_env", "key_evn")).toEqual({
      line: 13,
      field: "sources.1.endpoint.key_evn",
      message: "unknown field",
      hint: "Did you mean key_env? The fields here are url, model, key_env, concurrency, timeout_seconds, retries, native_n.",
    });
  });

  test("wrong type and wrong value", () => {
    expect(mistake("name: first", "seed: now")).toMatchObject({
      line: 1,
      field: "seed",
      message: 'is "now", and should be a number',
    });
    expect(mistake("name: first", "seed: 1.5")).toMatchObject({
      line: 1,
      message: "is 1.5, and should be a whole number",
    });
    expect(mistake("name: first", "name: two words")).toMatchObject({
      line: 1,
      field: "name",
      message: "has another form: letters, digits, '.', '_' and '-' only",
    });
    expect(mistake("name: first", "wrpo: {beta: 0}")).toMatchObject({
      field: "wrpo.beta",
      message: "is 0, and must be greater than 0",
    });
    expect(mistake("name: first", "sampling:\n  top_p: 2")).toMatchObject({
      line: 2,
      field: "sampling.top_p",
      message: "is 2, and must be at most 1",
    });
    expect(mistake("http://", "ftp://")).toMatchObject({
      line: 11,
      field: "sources.1.endpoint.url",
      message: "is no http or https address",
    });
    expect(mistake("name: first", "sampling: [1]")).toMatchObject({
      line: 1,
      field: "sampling",
      message: "is a list, and should be a map of fields",
    });
  });

  test("negative k", () => {
    expect(mistake("evaluation:\n", "evaluation:\n  k: -4\n")).toMatchObject({
      line: 20,
      field: "evaluation.k",
      message: "is -4, and must be at least 1",
    });
    expect(mistake("name: first", "sampling: {n: -1}")).toMatchObject({
      line: 1,
      field: "sampling.n",
      message: "is -1, and must be at least 1",
    });
  });

  test("unknown enum value", () => {
    expect(mistake("name: first", "wrpo: {schedule: cosin}")).toEqual({
      line: 1,
      field: "wrpo.schedule",
      message: '"cosin" is not known here',
      hint: "Did you mean cosine? It is one of constant, linear, cosine, wsd.",
    });
  });

  test("missing field, and nothing where a value should be", () => {
    expect(mistake("target:\n  model: package:smollm2-135m-instruct\n", "")).toMatchObject({
      line: undefined,
      field: "target",
      message: "is missing",
    });
    expect(mistake("      url: http://localhost:8000/v1\n", "")).toMatchObject({
      line: 10,
      field: "sources.1.endpoint.url",
      message: "is missing",
    });
    expect(mistake("  file: train.jsonl", "  file:")).toMatchObject({
      line: 3,
      field: "prompts.file",
      message: "is empty, and should be a text",
    });
  });

  test("a union gives the mistake of the branch that was meant", () => {
    expect(mistake("    model: package:gemma-3-270m", "    modell: package:gemma-3-270m")).toMatchObject({
      line: 8,
      field: "sources.0.modell",
      message: "unknown field",
      hint: expect.stringMatching(/^Did you mean model\?/),
    });
    expect(mistake("    endpoint:", "    device: cuda\n    endpoint:")).toMatchObject({
      line: 10,
      field: "sources.1.device",
      message: "unknown field",
      hint: "The fields here are name, endpoint, sampling.",
    });
    expect(mistake("    model: package:gemma-3-270m\n", "")).toMatchObject({
      line: 7,
      field: "sources.0",
      message: "a source has a name and either `model` or `endpoint`",
      hint: "It has name.",
    });
    expect(
      mistake("    model: package:gemma-3-270m", "    model: m\n    endpoint: {url: 'http://x', model: m}"),
    ).toMatchObject({ line: 7, field: "sources.0", hint: "It has name, model, endpoint." });
    expect(mistake("kind: checks", "kind: check")).toEqual({
      line: 15,
      field: "rewards.0.kind",
      message: '"check" is not known here',
      hint: "Did you mean checks? It is one of checks, judge.",
    });
    expect(mistake("    name: judge\n", "    name: judge\n    scale: [5, 1]\n")).toMatchObject({
      line: 18,
      field: "rewards.1.scale",
      message: "the scale goes from 5 to 1",
    });
    expect(mistake("kind: checks", "kind: checks\n    wieght: 2")).toMatchObject({
      line: 16,
      field: "rewards.0.wieght",
      hint: "Did you mean weight? The fields here are kind, weight.",
    });
  });

  test("two sources of one name", () => {
    expect(mistake("name: far", "name: near")).toMatchObject({
      line: 9,
      field: "sources.1.name",
      message: 'sources.0 is called "near" too',
    });
  });

  test("a prompts file that is not there, or is a folder", () => {
    expect(mistake("train.jsonl", "gone.jsonl")).toMatchObject({
      line: 3,
      field: "prompts.file",
      message: `there is no file ${join(folder, "gone.jsonl")}`,
    });
    expect(mistake("held-out.jsonl", ".")).toMatchObject({
      line: 21,
      field: "evaluation.prompts.file",
      message: `${folder} is no file`,
    });
  });

  test("no room for a response", () => {
    expect(mistake("name: first", "wrpo: {max_length: 512}")).toMatchObject({ line: 1, field: "wrpo.max_length" });
  });

  test("responses of the sources that the objective can't use, or weighs otherwise", () => {
    const mistaken = (wrpo: string, count = 2) =>
      mistake("name: first", `wrpo: ${wrpo}\nselection: {source_responses: ${count}}`);
    expect(mistaken("{source_weights: [1, 2, 3]}")).toMatchObject({
      line: 1,
      field: "wrpo.source_weights",
      message: "3 weights for 2 responses of the sources",
    });
    expect(mistaken("{}", 3)).toMatchObject({
      field: "selection.source_responses",
      message: "no prompt can have 3 responses of 2 sources",
    });
    expect(mistaken("{objective: wrpo_source_rejected}")).toMatchObject({ field: "wrpo.objective" });
    expect(mistaken("{objective: mixture, parts: [{objective: wrpo, source_weights: [1]}]}")).toMatchObject({
      field: "wrpo.parts.0.source_weights",
    });
  });

  test("a setting that the objective does not have, and one that it can't do without", () => {
    expect(mistake("name: first", "wrpo: {objective: dpo, alpha: 0.5}")).toMatchObject({
      line: 1,
      field: "wrpo.alpha",
      message:
        "dpo has no such setting; it has beta, label_smoothing, reference_free, divergence, divergence_alpha, ld_alpha, wpo_weighting",
    });
    expect(mistake("name: first", "wrpo: {objective: mixture}")).toMatchObject({
      field: "wrpo.parts",
      message: "a mixture needs the objectives that it is made of",
    });
    expect(mistake("name: first", "wrpo: {objective: mixture, parts: [{objective: sft, beta: 1}]}")).toMatchObject({
      field: "wrpo.parts.0.beta",
      message: "sft has no such setting; it has no settings",
    });
    for (const wrpo of ["objective: simpo", "objective: dpo, reference_free: true"])
      expect(mistake("name: first", `wrpo: {${wrpo}, reference_sync_steps: 4}`)).toMatchObject({
        field: "wrpo.reference_sync_steps",
        message: expect.stringContaining("looks at no reference"),
      });
    expect(mistake("name: first", "wrpo: {objective: exo_pair, label_smoothing: 0}")).toMatchObject({
      field: "wrpo.label_smoothing",
      message: "exo_pair needs a label_smoothing above 0: its loss is infinite without",
    });
    expect(mistake("name: first", "wrpo: {objective: dop}")).toMatchObject({
      field: "wrpo.objective",
      hint: expect.stringMatching(/^Did you mean dpo\?/),
    });
  });

  test("all mistakes at once, in the order of their lines", () => {
    const text = good
      .replace("name: first", "nme: first")
      .replace("name: far", "name: near")
      .replace("kind: checks", "kind: check");
    expect(mistakes(text).all.map(([line, field]) => [line, field])).toEqual([
      [1, "nme"],
      [9, "sources.1.name"],
      [15, "rewards.0.kind"],
    ]);
    expect(describeError(catchError(() => loadRecipe(write(text)))).split("\n")).toHaveLength(6);
  });
});

function catchError(work: () => unknown): unknown {
  try {
    work();
  } catch (error) {
    return error;
  }
  throw new Error("nothing was thrown");
}

describe("a file that is no recipe", () => {
  test("YAML mistakes with their line", () => {
    expect(mistakes(good.replace("name: first", "name: first\nname: second")).all).toEqual([
      [2, undefined, "this field stands twice in one map"],
    ]);
    expect(mistakes(good.replace("  file: train.jsonl", "\tfile: train.jsonl")).all[0]).toEqual([
      3,
      undefined,
      "a tab indents this line",
    ]);
    expect(mistakes(good.replace("name: first", 'name: "first')).all[0]![2]).toMatch(/^not YAML: /);
    expect(mistakes(`${good}---\nname: other\n`).all[0]).toEqual([
      22,
      undefined,
      "a second document begins here (`---`)",
    ]);
  });

  test("where the syntax breaks, only the first complaint: a data file in a recipe's place is one error", () => {
    const rows = Array.from({ length: 6 }, (_, i) => JSON.stringify({ id: `p${i}`, prompt: "Why?", checks: [] }));
    const { all } = mistakes(rows.join("\n"));
    expect(all).toEqual([[2, undefined, expect.stringMatching(/^not YAML: /)]]);
    expect(mistakes(good.replace("name: first", "name: first\nname: [")).all.length).toBeLessThanOrEqual(2);
  });

  test("not UTF-8, with the line", () => {
    const bytes = Buffer.from(good.replace("package:gemma-3-270m", "caf\u00e9"), "latin1");
    expect(mistakes(bytes).all).toEqual([
      [8, undefined, "not UTF-8: this line holds bytes that belong to no character"],
    ]);
  });

  test("empty, a list, a folder, not there", () => {
    expect(mistakes("# nothing\n").all).toEqual([[undefined, undefined, "the recipe is empty"]]);
    expect(mistakes("- a\n").all).toEqual([[1, undefined, "a recipe is a map of fields (`name: value`)"]]);
    expect(() => loadRecipe(tmpdir())).toThrow("this is a folder, not a recipe");
    write(good);
    expect(catchError(() => loadRecipe(folder))).toMatchObject({
      message: "this is a folder, not a recipe",
      hint: `Name the recipe in it: ${join(folder, "recipe.yaml")}`,
    });
    expect(catchError(() => loadRecipe(join(folder, "recipe.yml")))).toMatchObject({
      message: "there is no such recipe",
      hint: expect.stringMatching(/^Did you mean recipe.yaml\?/),
    });
  });
});

describe("overrides", () => {
  test("of an unknown field, with a wrong value, beyond a list, into a value", () => {
    expect(mistakes(good, ["wrpo.alhpa=1"])).toMatchObject({
      all: [[undefined, "wrpo.alhpa", "unknown field"]],
      hint: expect.stringMatching(/^Did you mean alpha\?.*Given by --set wrpo.alhpa=1\.$/),
    });
    expect(mistakes(good, ["evaluation.k=-1"])).toMatchObject({
      all: [[undefined, "evaluation.k", "is -1, and must be at least 1"]],
      hint: "Given by --set evaluation.k=-1.",
    });
    expect(mistakes(good, ["sources.2.name=x"]).all).toEqual([
      [undefined, "sources.2", "sources is a list with the entries 0 to 1, and has no 2"],
    ]);
    expect(mistakes(good, ["name.first=x"]).all).toEqual([
      [undefined, "name.first", "name holds a value and has no fields"],
    ]);
    expect(mistakes(good, ["seed"]).all[0]![2]).toBe("--set seed names no field and value");
    for (const odd of ["seed=[", "seed=*nothing"])
      expect(mistakes(good, [odd]).all[0]![2]).toContain(`the value of --set ${odd} is not YAML`);
  });

  test("a key written where its variable's name belongs is not shown", () => {
    const error = catchError(() => loadRecipe(write(good), ["sources.1.endpoint.key_env=sk-123-secret"]));
    expect(error).toBeInstanceOf(RecipeError);
    expect(describeError(error)).not.toContain("secret");
    expect(describeError(catchError(() => loadRecipe(write(good.replace("BIG_KEY", "sk-123-secret")))))).not.toContain(
      "secret",
    );
  });
});

test("the resolved recipe means the same from its run folder, and has the same digest", () => {
  mkdirSync(join(folder, "own model"), { recursive: true });
  const loaded = loadRecipe(write(good.replace("model: package:smollm2-135m-instruct", "model: ./own model")), [
    "seed=7",
  ]);
  const run = join(folder, "runs", "one");
  mkdirSync(run, { recursive: true });
  writeFileSync(join(run, "recipe.yaml"), resolvedYaml(resolvedRecipe(loaded.recipe, folder, run)));
  const again = loadRecipe(join(run, "recipe.yaml"));
  expect(again.digest).toBe(loaded.digest);
  expect(again.recipe.target.model).toBe(join(folder, "own model"));
  expect(again.recipe.prompts.file).toBe(join(folder, "train.jsonl"));
  expect(again.recipe.sources).toEqual(loaded.recipe.sources);
  expect(again.recipe.seed).toBe(7);
  expect(loadRecipe(file, ["seed=8"]).digest).not.toBe(loaded.digest);
  expect(parse(resolvedYaml(resolvedRecipe(loaded.recipe, folder, folder))).prompts.file).toBe("./train.jsonl");
});

test("the JSON schema knows what the loader knows", () => {
  const schema = recipeJsonSchema() as { properties: Record<string, unknown>; required: string[] };
  expect(Object.keys(schema.properties)).toEqual(Object.keys(loadRecipe(write(good)).recipe));
  expect(schema.required).toEqual(["prompts", "target", "sources", "rewards", "evaluation"]);
});

import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { describeError } from "./errors.ts";
import { loadRecipe } from "./recipe-file.ts";
import { catchError, good, recipeFolder } from "./testing/recipes.ts";

const { folder, write, mistakes, mistake } = recipeFolder();

describe("a mistake is named by file, line and field", () => {
  test("a password in the ledger's URL is refused and not repeated", () => {
    for (const url of ["postgresql://me:s3cret@host/runs", "postgresql://host/runs?password=s3cret"]) {
      const found = mistake("name: first", `name: first\nledger: {url: "${url}"}`);
      expect(found).toMatchObject({ field: "ledger.url", message: expect.stringMatching(/PGPASSWORD/) });
      expect(JSON.stringify(found)).not.toContain("s3cret");
    }
  });

  test("unknown field, at any depth", () => {
    expect(mistake("name: first", "nme: first")).toEqual({
      line: 1,
      field: "nme",
      message: "unknown field",
      hint: "Did you mean name? The fields here are name, seed, ledger, prompts, target, sources, sampling, budget, rewards, selection, sft, wrpo, logging, evaluation.",
    });
    expect(mistake("key_env", "key_evn")).toEqual({
      line: 13,
      field: "sources.1.endpoint.key_evn",
      message: "unknown field",
      hint: "Did you mean key_env? The fields here are url, model, format, key_env, key_header, headers_env, concurrency, requests_per_minute, tokens_per_minute, price, timeout_seconds, retries, give_up_seconds, hedge_after_seconds, body, chat_template, special_tokens, stream, thinking, logprobs, native_n.",
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
      hint: "The fields here are name, endpoint, sampling, system.",
    });
    expect(mistake("    model: package:gemma-3-270m\n", "")).toMatchObject({
      line: 7,
      field: "sources.0",
      message: "a source has a name and one of `model`, `endpoint` and `recorded`",
      hint: "It has name.",
    });
    expect(
      mistake("    model: package:gemma-3-270m", "    model: m\n    endpoint: {url: 'http://x', model: m}"),
    ).toMatchObject({ line: 7, field: "sources.0", hint: "It has name, model, endpoint." });
    expect(mistake("kind: checks", "kind: check")).toEqual({
      line: 15,
      field: "rewards.0.kind",
      message: '"check" is not known here',
      hint: "Did you mean checks? It is one of checks, code, judge, model, endpoint.",
    });
    expect(mistake("    name: judge\n", "    name: judge\n    scale: [5, 1]\n")).toMatchObject({
      line: 18,
      field: "rewards.1.scale",
      message: "the scale goes from 5 to 1",
    });
    expect(mistake("kind: checks", "kind: checks\n    wieght: 2")).toMatchObject({
      line: 16,
      field: "rewards.0.wieght",
      hint: "Did you mean weight? The fields here are kind, name, checks, weight, clip, gate, otherwise.",
    });
  });

  test("two sources of one name", () => {
    expect(mistake("name: far", "name: near")).toMatchObject({
      line: 9,
      field: "sources.1.name",
      message: 'sources.0 is called "near" too',
    });
  });

  test("a prompts file that is not there", () => {
    expect(mistake("train.jsonl", "gone.jsonl")).toMatchObject({
      line: 3,
      field: "prompts.file",
      message: `there is no file ${join(folder, "gone.jsonl")}`,
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

  test("a selection that contradicts itself, the sources or the objective", () => {
    const mistaken = (selection: string, more = "") => mistake("name: first", `selection: ${selection}${more}`);
    expect(mistaken("{min_gap: 0.2, max_gap: 0.1}")).toMatchObject({
      field: "selection.max_gap",
      message: "no gap is at least 0.2 (min_gap) and at most 0.1",
    });
    expect(mistaken("{sources: [nobody]}")).toMatchObject({
      field: "selection.sources.0",
      message: 'there is no source "nobody"',
    });
    expect(mistaken("{source_rank: 3}")).toMatchObject({
      field: "selection.source_rank",
      message: "no prompt can have a response, from the place 3 on, of 2 sources",
    });
    expect(mistaken("{rows: pairs}")).toMatchObject({
      field: "selection.rows",
      message: "wrpo compares a response of the target, too, and pairs have none",
    });
    expect(mistaken("{rows: pairs}", "\nwrpo: {objective: wrpo_ipo}")).toMatchObject({ field: "wrpo.objective" });
    const pairs = "\nwrpo: {objective: dpo}";
    expect(mistaken("{rows: pairs, source_responses: 2}", pairs)).toMatchObject({
      field: "selection.source_responses",
    });
    expect(mistaken("{rejected_from: same_source}", "\nsampling: {n: 1}")).toMatchObject({
      field: "selection.rejected_from",
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

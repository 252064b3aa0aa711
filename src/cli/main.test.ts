import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { tinyFolder } from "../models/testing/tiny-model.ts";
import { productFile } from "../schema/testing/product.ts";

const main = productFile("cli/main.js");
const folder = mkdtempSync(join(tmpdir(), "amalgam-cli-"));
afterAll(() => rmSync(folder, { recursive: true }));

function run(file: string, words: readonly string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [file, ...words], { cwd: folder, encoding: "utf8" });
  return { status, stdout, stderr };
}
const amalgam = (...words: string[]) => run(main, words);

describe("data files", () => {
  const file = join(folder, "pairs.jsonl");
  const row = { prompt: "A river?", chosen: "The \u001b[31mDanube.", rejected: "No." };
  beforeAll(() => writeFileSync(file, `${JSON.stringify(row)}\n${JSON.stringify({ ...row, rejected: "" })}\n`));

  test("data check ends with 1 where something is wrong, in words and as JSON", () => {
    const { status, stdout } = amalgam("data", "check", file);
    expect([status, stdout]).toEqual([1, expect.stringContaining("line 2, rejected: the response is empty")]);
    const json = amalgam("data", "check", file, "--json");
    expect([json.status, JSON.parse(json.stdout)]).toEqual([1, expect.objectContaining({ rows: 2 })]);
    expect(amalgam("data", "check", "none.jsonl")).toMatchObject({
      status: 1,
      stderr: expect.stringContaining("there is no such file"),
    });
  });

  test("inspect prints what no terminal obeys, or writes a page", () => {
    const { status, stdout } = amalgam("inspect", file, "--flag", "empty");
    expect([status, stdout.match(/^== .*/gm)]).toEqual([0, ["== pairs.jsonl:2 (line 2)"]]);
    expect(stdout).toContain("The \\u{1b}[31mDanube.");
    expect(amalgam("inspect", file, "--html", "page.html").stdout).toBe("2 prompts in page.html\n");
    expect(readFileSync(join(folder, "page.html"), "utf8")).toContain("<article");
    expect(amalgam("inspect", file, "--search", "Rhine").stdout).toBe("No prompt is one of these.\n");
  });
});

describe("exit codes", () => {
  test("0 for help and version, which load nothing else", () => {
    expect(amalgam("--help")).toMatchObject({
      status: 0,
      stderr: "",
      stdout: expect.stringContaining("Usage: amalgam COMMAND"),
    });
    expect(amalgam("train", "--help")).toMatchObject({
      status: 0,
      stdout: expect.stringContaining("Usage: amalgam train"),
    });
    const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as {
      version: string;
    };
    expect(amalgam("--version")).toEqual({ status: 0, stdout: `${version}\n`, stderr: "" });
  });

  test("2 for a wrong command line, with what to do", () => {
    expect(amalgam("trian")).toEqual({
      status: 2,
      stdout: "",
      stderr: "amalgam: unknown command trian\n  Did you mean train? `amalgam --help` lists the commands.\n",
    });
    expect(amalgam("run").status).toBe(2);
    expect(amalgam("init").status).toBe(2);
    expect(amalgam("chat", "x", "--temperature", "hot")).toMatchObject({
      status: 2,
      stderr: expect.stringContaining("--temperature hot"),
    });
  });

  test("1 for an error of the user, told without a stack trace", () => {
    const { status, stdout, stderr } = amalgam("status", "nowhere");
    expect({ status, stdout }).toEqual({ status: 1, stdout: "" });
    expect(stderr).toBe(
      `amalgam: ${join(folder, "nowhere")}: there is no run here: the folder has no run.db\n  Name the folder of a run, or start one: amalgam run <folder> --recipe <file>.\n`,
    );
    expect(existsSync(join(folder, "nowhere"))).toBe(false);
    expect(amalgam("chat", "./no-such-model")).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(/^amalgam: there is no model "\.\/no-such-model"/),
    });
  });
});

describe("init", () => {
  test("writes a recipe that is accepted, and never over a file", () => {
    const { status, stdout } = amalgam("init", "first");
    expect(status).toBe(0);
    expect(stdout).toContain("amalgam doctor first");
    const recipe = join(folder, "first", "recipe.yaml");
    const schema = /\$schema=(.*)/.exec(readFileSync(recipe, "utf8"))![1]!;
    expect(existsSync(schema)).toBe(true);
    writeFileSync(recipe, "mine");
    expect(amalgam("init", "first")).toMatchObject({ status: 1, stderr: expect.stringContaining("is there already") });
    expect(readFileSync(recipe, "utf8")).toBe("mine");
  });
});

describe("a recipe with mistakes", () => {
  test("is refused before anything is made, every mistake with its line", () => {
    amalgam("init", "wrong");
    const recipe = join(folder, "wrong", "recipe.yaml");
    const text = readFileSync(recipe, "utf8").replace("batch_size: 4", "batch_sise: 4").replace("k: 2", "k: -2");
    writeFileSync(recipe, text);
    const lineOf = (what: string) => text.split("\n").findIndex((line) => line.includes(what)) + 1;
    const { status, stderr } = amalgam("run", "wrong");
    expect(status).toBe(1);
    expect(stderr.split("\n").filter((line) => !line.startsWith(" "))).toEqual([
      `amalgam: ${recipe}:${lineOf("batch_sise")}, sft.batch_sise: unknown field`,
      `${recipe}:${lineOf("k: -2")}, evaluation.k: is -2, and must be at least 1`,
      "",
    ]);
    expect(existsSync(join(folder, "wrong", "run.db"))).toBe(false);
  });
});

describe("train --data", () => {
  test("trains without a run, and does nothing twice", async () => {
    const model = tinyFolder("llama");
    const row = (index: number) => ({ prompt: `Name ${index}.`, chosen: `Fine ${index}`, rejected: "No" });
    writeFileSync(join(folder, "pairs.jsonl"), [0, 1, 2].map((index) => `${JSON.stringify(row(index))}\n`).join(""));
    const words = ["train", "--data", "pairs.jsonl", "--objective", "dpo", "--model", model, "--output", "own"];
    const { status, stdout, stderr } = amalgam(...words, "--set", "batch_size=2", "--set", "precision=fp32");
    expect({ status, stderr }).toMatchObject({
      status: 0,
      stderr: expect.stringContaining("pairs.jsonl: preferences"),
    });
    expect(stdout).toContain("Rows:  3 of 3\nSteps: 2, loss");
    expect(existsSync(join(folder, "own", "model", "model.safetensors"))).toBe(true);
    expect(amalgam(...words, "--set", "batch_size=2", "--set", "precision=fp32").stdout).toContain("stands already");
    expect(amalgam(...words, "--set", "batch_size=0")).toMatchObject({
      status: 1,
      stderr: expect.stringContaining("batch_size: is 0, and must be at least 1"),
    });
    rmSync(model, { recursive: true });
  });

  test("wants all of its options, and no run", () => {
    expect(amalgam("train", "--data", "x.jsonl", "--objective", "dpo")).toMatchObject({
      status: 2,
      stderr: expect.stringContaining("--model is missing"),
    });
    expect(amalgam("train", "--model", "x")).toMatchObject({
      status: 2,
      stderr: expect.stringContaining("--data is missing"),
    });
    const all = ["--data", "x.jsonl", "--objective", "dpo", "--model", "m", "--output", "o"];
    expect(amalgam("train", ...all.slice(0, -1), "")).toMatchObject({
      status: 2,
      stderr: expect.stringContaining("--output is missing"),
    });
    expect(amalgam("train", "run", ...all).stderr).toContain("takes neither a run folder nor a recipe");
  });
});

describe("doctor", () => {
  test("prints findings as JSON, and ends with 1 where one is a problem", () => {
    amalgam("init", "sick");
    const recipe = join(folder, "sick", "recipe.yaml");
    writeFileSync(
      recipe,
      readFileSync(recipe, "utf8")
        .replace("model: package:smollm2-135m-instruct", "model: ./missing")
        .replace("file: held-out.jsonl", "file: prompts.jsonl"),
    );
    const { status, stdout } = amalgam("doctor", "sick", "--json", "--offline");
    expect(status).toBe(1);
    const findings = JSON.parse(stdout) as { what: string; outcome: string; detail: string; hint?: string }[];
    const found = (what: string) => findings.filter((finding) => finding.what === what);
    expect(found("Node.js")).toEqual([{ what: "Node.js", outcome: "ok", detail: process.versions.node }]);
    expect(found("engine")).toMatchObject([{ outcome: "ok" }]);
    expect(found("matrix products")[0]!.detail).toMatch(
      /fp32 \d+ by the BLAS(, \d+ by oneDNN)?, \d+ by the kernel of the addon, bf16 \d+ GFLOP\/s: .* precision auto takes (fp32|bf16)/,
    );
    expect(found("model of target")[0]).toMatchObject({
      outcome: "problem",
      detail: expect.stringContaining('there is no model "./missing"'),
    });
    expect(found("held-out prompts").map(({ outcome }) => outcome)).toEqual(["ok", "problem"]);
    expect(found("split")[0]!.detail).toBe("4 prompts for supervised tuning, 8 for wrpo");
  });
});

/** Resolves when the program has printed the text. */
function printed(program: ReturnType<typeof spawn>, text: string): Promise<void> {
  let seen = "";
  return new Promise((resolve, reject) => {
    program.stderr!.on("data", (chunk: Buffer) => {
      seen += chunk.toString();
      if (seen.includes(text)) resolve();
    });
    program.on("close", () => reject(new Error(`ended before "${text}": ${seen}`)));
  });
}

describe("a signal", () => {
  test.each([
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const)("%s ends a run cleanly, and the same command goes on", async (name, code) => {
    const run = `stopped-${name}`;
    amalgam("init", run);
    // An endpoint that never answers keeps the run busy.
    const { createServer } = await import("node:net");
    const silent = createServer().listen(0, "127.0.0.1");
    await new Promise((resolve) => silent.once("listening", resolve));
    const { port } = silent.address() as { port: number };
    const sources = `sources=[{name: far, endpoint: {url: "http://127.0.0.1:${port}/v1", model: m}}]`;
    const program = spawn(process.execPath, [main, "sample", run, "--set", sources], { cwd: folder });
    const closed = new Promise<number | null>((resolve) => program.once("close", resolve));
    await printed(program, "far: 0 of 36 responses");
    const told = printed(program, "nothing is lost");
    program.kill(name);
    await told;
    expect(await closed).toBe(code);
    silent.close();
    const status = JSON.parse(amalgam("status", run, "--json").stdout) as {
      stages: { stage: string; state: string }[];
      writer?: unknown;
    };
    expect(status.stages[0]).toMatchObject({ stage: "sample", state: "interrupted" });
    expect(status.writer).toBeUndefined();
    expect(amalgam("score", run)).toMatchObject({
      status: 1,
      stderr: expect.stringContaining(`First comes: amalgam sample`),
    });
  });
});

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { rmSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { tinyFolder } from "../models/testing/tiny-model.ts";
import { parseArguments } from "./arguments.ts";
import { UsageError } from "./usage-error.ts";

const serving = (...words: string[]) => {
  const parsed = parseArguments(["serve", ...words]);
  if (parsed.kind !== "run") throw new Error("no command");
  return parsed.arguments.serving!;
};

describe("the options of serve", () => {
  test("name models, adapters and limits", () => {
    expect(
      serving("./runs/one/models/fused", "--model", "b=o/w", "--adapter", "c@b=./lora", "--limit", "running=3"),
    ).toMatchObject({
      models: [
        { name: "fused", model: "./runs/one/models/fused" },
        { name: "b", model: "o/w" },
      ],
      adapters: [{ name: "c", model: "b", folder: "./lora" }],
      limits: { running: 3, waiting: 1024 },
    });
    expect(serving("owner/name").models).toEqual([{ name: "owner/name", model: "owner/name" }]);
    expect(serving("owner/name@revision", "--adapter", "c@owner/name@revision=./lora").adapters).toEqual([
      { name: "c", model: "owner/name@revision", folder: "./lora" },
    ]);
    expect(serving("m", "--adapter", "c=./lora", "--cache", "c=64", "--cache", "m=0.5")).toMatchObject({
      models: [{ name: "m", cacheMib: 0.5 }],
      adapters: [{ name: "c", cacheMib: 64 }],
    });
    expect(serving("/x/y.gguf", "--port", "0")).toMatchObject({ models: [{ name: "y" }], port: 0 });
  });

  test.each([
    [[], "name a model to serve"],
    [["--model", "noname"], "--model noname is not NAME=MODEL"],
    [["m", "--adapter", "@b=x"], "is not NAME@MODEL=FOLDER"],
    [["m", "--port", "70000"], "--port 70000"],
    [["m", "--port", "x"], "--port x"],
    [["m", "--limit", "runing=3"], "there is no limit runing"],
    [["m", "--limit", "running=0"], "--limit running is 0, and must be at least 1"],
    [["m", "--limit", "running=many"], "--limit running"],
    [["m", "--cache", "m=0"], "--cache m=0: it is a number of MiB above 0"],
    [["m", "--cache", "other=64"], "nothing is served as other"],
    [["m", "--precision", "int8"], "--precision int8"],
  ])("%j is refused", (words, message) => {
    expect(() => serving(...(words as string[]))).toThrow(UsageError);
    expect(() => serving(...(words as string[]))).toThrow(message as string);
  });
});

describe("the process", () => {
  const main = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));
  let folder = "";
  let child: ChildProcess | undefined;
  beforeAll(() => {
    folder = tinyFolder("qwen2");
  });
  afterEach(() => void child?.kill("SIGKILL"));
  afterAll(() => rmSync(folder, { recursive: true }));

  const start = (...words: string[]) => {
    const env = { ...process.env, KEY: "sk-0123456789abcdefghij" };
    const started = spawn(process.execPath, [main, "serve", ...words], { env, stdio: ["ignore", "pipe", "pipe"] });
    child = started;
    return { started, lines: createInterface({ input: started.stderr }) };
  };

  test("says where it listens, ends a stream after SIGTERM, and then itself with 0", async () => {
    const { started, lines } = start("--model", `tiny=${folder}`, "--port", "0", "--key-env", "KEY");
    const text: string[] = [];
    const listening = new Promise<string>((resolve) =>
      lines.on("line", (line) => {
        text.push(line);
        if (line.includes('"listening"')) resolve((JSON.parse(line) as { url: string }).url);
      }),
    );
    const url = await listening;
    expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
    const answer = await fetch(`${url}/v1/completions`, {
      method: "POST",
      headers: { "content-type": "application/json", authorization: "Bearer sk-0123456789abcdefghij" },
      body: JSON.stringify({ model: "tiny", prompt: "one", max_tokens: 200, ignore_eos: true, stream: true }),
    });
    started.kill("SIGTERM");
    expect((await answer.text()).endsWith("data: [DONE]\n\n")).toBe(true);
    expect(await once(started, "exit")).toEqual([0, null]);
    expect(text.join("\n")).not.toContain("sk-0123456789");
  });

  test.each([
    [["./no-such-model"], "no-such-model"],
    [["--model", "a=FOLDER", "--model", "a=FOLDER"], "two models are to be served as a"],
    [["--model", "a=FOLDER", "--key-env", "NO_SUCH_VARIABLE"], "NO_SUCH_VARIABLE"],
    [["--model", "a=FOLDER", "--adapter", "b=./nowhere"], "nowhere"],
    [["--model", "a=FOLDER", "--host", "192.0.2.1", "--port", "0"], "can't listen on 192.0.2.1"],
  ])("%j ends with 1 and says why", async (words, message) => {
    const { started, lines } = start(...(words as string[]).map((word) => word.replace("FOLDER", folder)));
    const text: string[] = [];
    lines.on("line", (line) => text.push(line));
    expect(await once(started, "close")).toEqual([1, null]);
    expect(text.join("\n")).toContain(message as string);
    expect(text.join("\n")).not.toContain("    at ");
  });
});

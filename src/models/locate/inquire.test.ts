import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { EnvironmentError, ModelError } from "../../schema/index.ts";
import { failure, ggufs, type HubSetting, hubSetting, sharded, single } from "../testing/hub-setting.ts";
import { inquireModel, modelPackages } from "./index.ts";

let setting: HubSetting;
beforeEach(async () => {
  setting = await hubSetting();
});
afterEach(() => setting.close());

const inquire = (reference: string, more: { offline?: boolean; environment?: NodeJS.ProcessEnv } = {}) =>
  inquireModel(reference, {
    baseFolder: setting.home,
    environment: setting.environment({ AMALGAM_CACHE: setting.home }),
    ...more,
  });

const bytesOf = ({ files }: typeof single, ...names: string[]) =>
  names.reduce((sum, name) => sum + files[name]!.bytes.length, 0);

describe("a model on the hub", () => {
  test("is elsewhere with the bytes that fetching it takes, and here once it is fetched", async () => {
    const needed = [
      "config.json",
      "generation_config.json",
      "tokenizer.json",
      "added_tokens.json",
      "model.safetensors",
    ];
    expect(await inquire("maker/small-model")).toEqual({ state: "elsewhere", bytes: bytesOf(single, ...needed) });
    expect(setting.rangesAsked("model.safetensors")).toEqual([]);
    await setting.fetchModel("maker/small-model");
    expect(await inquire("maker/small-model")).toMatchObject({ state: "here", located: { kind: "folder" } });
  });

  test("counts every shard, or the one GGUF file that is named", async () => {
    const { "consolidated.safetensors": _, ...wanted } = sharded.files;
    const bytes = bytesOf(sharded, ...Object.keys(wanted));
    expect(await inquire("maker/large-model")).toEqual({ state: "elsewhere", bytes });
    const file = "small.Q4_K_M.gguf";
    expect(await inquire(`maker/small-model-GGUF:${file}`)).toEqual({
      state: "elsewhere",
      bytes: bytesOf(ggufs, file),
    });
  });

  test("that is not there, or whose hub is silent, is an error; offline nobody is asked", async () => {
    expect(await failure(inquire("maker/smal-model"))).toBeInstanceOf(ModelError);
    expect(await failure(inquire("maker/small-model-GGUF:none.gguf"))).toBeInstanceOf(ModelError);
    const seen = setting.hub.seen.length;
    expect(await inquire("maker/small-model", { offline: true })).toEqual({ state: "elsewhere", bytes: undefined });
    expect(setting.hub.seen.length).toBe(seen);
    const environment = setting.environment({ HF_ENDPOINT: "http://127.0.0.1:9" });
    expect(await failure(inquire("maker/small-model", { environment }))).toBeInstanceOf(EnvironmentError);
  }, 60_000);
});

test("a package is elsewhere with its pinned size", async () => {
  const name = "smollm2-135m-instruct";
  expect(await inquire(`package:${name}`)).toEqual({ state: "elsewhere", bytes: modelPackages[name]!.bytes });
  expect(await failure(inquire("package:smollm"))).toBeInstanceOf(ModelError);
});

test("a path is here or an error", async () => {
  await mkdir(join(setting.home, "folder"));
  await writeFile(join(setting.home, "folder", "config.json"), "{}");
  await writeFile(join(setting.home, "folder", "model.safetensors"), "");
  expect(await inquire("./folder")).toEqual({
    state: "here",
    located: { path: join(setting.home, "folder"), kind: "folder", label: "./folder" },
  });
  expect((await failure(inquire("./foldr"))).hint).toMatch(/^Did you mean folder\?/);
});

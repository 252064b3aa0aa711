import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { inspect } from "node:util";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { AmalgamError, describeError } from "../../schema/index.ts";
import type { HubServer } from "../testing/hub-server.ts";
import { failure, type HubSetting, hubSetting, token } from "../testing/hub-setting.ts";
import { locateModel } from "./index.ts";

let hub: HubServer;
let home: string;
let environment: HubSetting["environment"];
let fetchModel: HubSetting["fetchModel"];
let close: HubSetting["close"];
beforeEach(async () => {
  ({ hub, home, environment, fetchModel, close } = await hubSetting());
});
afterEach(() => close());

describe("errors for people", () => {
  test("a wrong name: did you mean", async () => {
    const error = await failure(fetchModel("maker/smal-model"));
    expect(describeError(error)).toMatch(/no maker\/smal-model, or it is private.*Did you mean maker\/small-model\?/s);
  });

  test("a wrong file: did you mean", async () => {
    const error = await failure(fetchModel("maker/small-model-GGUF:small.Q4_K_S.gguf"));
    expect(describeError(error)).toMatch(/Did you mean small\.Q4_K_M\.gguf\?/);
  });

  test("a wrong revision", async () => {
    const error = await failure(fetchModel("maker/small-model@v9"));
    expect(error.message).toMatch(/no such revision of maker\/small-model@v9/);
  });

  test("a gated model: accept the licence, set HF_TOKEN; with the token it comes", async () => {
    const error = await failure(fetchModel("maker/gated-model"));
    expect(describeError(error)).toMatch(/accepted its licence.*HF_TOKEN/s);
    await fetchModel("maker/gated-model", { HF_TOKEN: token });
  });

  test("pickles only", async () => {
    const error = await failure(fetchModel("maker/pickles"));
    expect(describeError(error)).toMatch(/only as pickles \(pytorch_model\.bin\).*safetensors/s);
    expect(hub.seen.filter(({ path }) => path.includes("/resolve/"))).toEqual([]);
  });

  test("a repository of GGUF files: how to name one", async () => {
    const error = await failure(fetchModel("maker/small-model-GGUF"));
    expect(error.hint).toContain("maker/small-model-GGUF:small.Q4_K_M.gguf");
  });

  test("an endpoint that is no hub", async () => {
    const error = await failure(fetchModel("maker/small-model", { HF_ENDPOINT: `${hub.url}/elsewhere` }));
    expect(error).toBeInstanceOf(AmalgamError);
    const refused = await failure(fetchModel("maker/small-model", { HF_ENDPOINT: "http://user:word@127.0.0.1:1" }));
    expect(describeError(refused)).not.toContain("word@");
  });
});

describe("the token", () => {
  test("goes to the hub and to no other host", async () => {
    await fetchModel("maker/gated-model", { HF_TOKEN: token });
    const shown = (host: string): string[] => [
      ...new Set(hub.seen.filter((seen) => seen.host === host).map(({ authorization }) => authorization ?? "none")),
    ];
    expect({ hub: shown("hub"), files: shown("files") }).toEqual({ hub: [`Bearer ${token}`], files: ["none"] });
  });

  test("is read from the token file", async () => {
    await writeFile(join(home, "token"), `${token}\n`);
    await fetchModel("maker/gated-model");
  });

  test("never stands in an error, whatever goes wrong", async () => {
    const secret = { HF_TOKEN: token };
    hub.faults.push({ file: "config.json", fault: { kind: "corrupt" } });
    const errors = [
      await failure(fetchModel("maker/nothing", secret)),
      await failure(fetchModel("maker/gated-model", secret)),
      await failure(fetchModel("maker/small-model@v9", secret)),
      await failure(fetchModel("maker/small-model", { HF_TOKEN: `${token}\nx` })),
    ];
    await hub.close();
    errors.push(await failure(fetchModel("maker/large-model", secret)));
    for (const error of errors) {
      expect(inspect(error, { depth: 10, showHidden: true })).not.toContain(token);
    }
  });
});

test("a folder of the same name on this machine wins over the hub", async () => {
  const folder = join(home, "maker/small-model");
  await mkdir(folder, { recursive: true });
  for (const name of ["config.json", "model.safetensors"]) await writeFile(join(folder, name), "{}");
  const options = { baseFolder: home, environment: environment() };
  expect((await locateModel("maker/small-model", options)).path).toBe(folder);
  const error = await failure(locateModel("maker/pickles", options));
  expect(error.message).toContain(join(home, "maker/pickles"));
});

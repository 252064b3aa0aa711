import { mkdir, readdir, readFile, readlink, rm, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { describeError, EnvironmentError, ModelError } from "../../schema/index.ts";
import { gitDigest, type HubServer, sha256 } from "../testing/hub-server.ts";
import {
  commit,
  failure,
  ggufs,
  type HubSetting,
  hubSetting,
  sharded,
  shards,
  single,
} from "../testing/hub-setting.ts";
import { locateModel } from "./index.ts";
import type { LocateProgress } from "./progress.ts";

let hub: HubServer;
let home: string;
let environment: HubSetting["environment"];
let fetchModel: HubSetting["fetchModel"];
let rangesAsked: HubSetting["rangesAsked"];
let close: HubSetting["close"];
beforeEach(async () => {
  ({ hub, home, environment, fetchModel, rangesAsked, close } = await hubSetting());
});
afterEach(() => close());

// Not by toEqual, which takes a second for every 300 kB.
async function expectBytes(path: string, bytes: Buffer | undefined): Promise<void> {
  expect((await readFile(path)).equals(bytes ?? Buffer.from("no such file"))).toBe(true);
}

describe("fetching", () => {
  test("brings the files that a model needs, with the right bytes, and no others", async () => {
    const { path, kind, label } = await fetchModel("maker/small-model");
    expect({ kind, label }).toEqual({ kind: "folder", label: "maker/small-model" });
    expect(path).toBe(join(home, "hub/models--maker--small-model/snapshots", commit));
    expect((await readdir(path)).sort()).toEqual([
      "added_tokens.json",
      "config.json",
      "generation_config.json",
      "model.safetensors",
      "tokenizer.json",
    ]);
    for (const name of await readdir(path)) {
      await expectBytes(join(path, name), single.files[name]?.bytes);
    }
  });

  test("lays the cache out as Hugging Face's own library does", async () => {
    const { path } = await fetchModel("maker/small-model");
    const repository = join(home, "hub/models--maker--small-model");
    const weights = single.files["model.safetensors"]!.bytes;
    const config = single.files["config.json"]!.bytes;
    expect(await readlink(join(path, "model.safetensors"))).toBe(`../../blobs/${sha256(weights)}`);
    expect(await readlink(join(path, "config.json"))).toBe(`../../blobs/${gitDigest(config)}`);
    expect(await readFile(join(repository, "refs/main"), "utf8")).toBe(commit);
    expect((await readdir(join(repository, "blobs"))).filter((name) => name.includes("incomplete"))).toEqual([]);
  });

  test("takes the shards that the index names", async () => {
    const { path } = await fetchModel("maker/large-model");
    expect((await readdir(path)).sort()).toEqual(["config.json", shards.a, shards.b, "model.safetensors.index.json"]);
  });

  test("takes one GGUF file, also from a folder below and with a blank in its name", async () => {
    const { path, kind } = await fetchModel("maker/small-model-GGUF:big/whole one.gguf");
    expect(kind).toBe("gguf");
    expect(path.endsWith("/big/whole one.gguf")).toBe(true);
    await expectBytes(path, ggufs.files["big/whole one.gguf"]?.bytes);
  });

  test("takes a named revision, whose name may have slashes", async () => {
    const { path } = await fetchModel("maker/small-model@refs/pr/1");
    expect(path.endsWith("b".repeat(40))).toBe(true);
    const refs = join(home, "hub/models--maker--small-model/refs");
    expect(await readFile(join(refs, "refs/pr/1"), "utf8")).toBe("b".repeat(40));
  });

  test("reports bytes up to the whole", async () => {
    const seen: LocateProgress[] = [];
    await fetchModel("maker/small-model-GGUF:small.Q4_K_M.gguf", {}, (progress) => seen.push(progress));
    expect(seen.at(-1)).toMatchObject({ step: "done", doneBytes: 100_000, totalBytes: 100_000 });
  });
});

describe("what is there already", () => {
  test("is not fetched again", async () => {
    await fetchModel("maker/small-model");
    hub.seen.length = 0;
    await fetchModel("maker/small-model");
    expect(hub.seen.filter(({ path }) => path.includes("/resolve/"))).toEqual([]);
  });

  test("is used offline, by option and by HF_HUB_OFFLINE, without a request", async () => {
    const online = await fetchModel("maker/large-model");
    hub.seen.length = 0;
    expect(
      await locateModel("maker/large-model", { baseFolder: home, offline: true, environment: environment() }),
    ).toEqual(online);
    expect(await fetchModel("maker/large-model", { HF_HUB_OFFLINE: "1" })).toEqual(online);
    expect(hub.seen).toEqual([]);
  });

  test("is used with a note when the hub is gone", async () => {
    const online = await fetchModel("maker/small-model");
    await hub.close();
    const { note, ...located } = await fetchModel("maker/small-model");
    expect(located).toEqual(online);
    expect(note).toMatch(/can't be reached \(ECONNREFUSED\)/);
    const error = await failure(fetchModel("maker/large-model"));
    expect(error).toBeInstanceOf(EnvironmentError);
    expect(error.message).toMatch(/can't be reached/);
  });

  test("a commit in the cache needs no hub", async () => {
    await fetchModel("maker/small-model");
    hub.seen.length = 0;
    await fetchModel(`maker/small-model@${commit}`);
    expect(hub.seen).toEqual([]);
  });

  test("a copy that another tool fetched in part is named offline and completed online", async () => {
    const snapshot = join(home, "hub/models--maker--large-model/snapshots", "c".repeat(40));
    await fetchModel("maker/large-model");
    await rm(join(snapshot, shards.b));
    const error = await failure(fetchModel("maker/large-model", { HF_HUB_OFFLINE: "1" }));
    expect(error).toBeInstanceOf(ModelError);
    expect(error.message).toContain(shards.b);
    await fetchModel("maker/large-model");
    await expectBytes(join(snapshot, shards.b), sharded.files[shards.b]?.bytes);
  });

  test("nothing in the cache and no hub: the error says so", async () => {
    const error = await failure(fetchModel("maker/small-model", { HF_HUB_OFFLINE: "yes" }));
    expect(describeError(error)).toMatch(/not in the cache .*HF_HUB_OFFLINE/s);
  });
});

describe("a connection that breaks", () => {
  test("is taken up where it ended", async () => {
    hub.faults.push({ file: "model.safetensors", fault: { kind: "cut", afterBytes: 100_000 } });
    const { path } = await fetchModel("maker/small-model");
    await expectBytes(join(path, "model.safetensors"), single.files["model.safetensors"]?.bytes);
    const [first, second] = rangesAsked("model.safetensors");
    expect(first).toBe("all");
    expect(Number(/^bytes=(\d+)-$/.exec(second ?? "")?.[1])).toBeGreaterThan(0);
  });

  test("again and again gives an error, keeps the bytes, and the next call goes on", async () => {
    for (const afterBytes of [50_000, 0, 0, 0, 0, 0]) {
      hub.faults.push({ file: "model.safetensors", fault: { kind: "cut", afterBytes } });
    }
    const error = await failure(fetchModel("maker/small-model"));
    expect(error).toBeInstanceOf(EnvironmentError);
    expect(error.hint).toMatch(/goes on from there/);
    hub.faults.length = 0;
    hub.seen.length = 0;
    const { path } = await fetchModel("maker/small-model");
    await expectBytes(join(path, "model.safetensors"), single.files["model.safetensors"]?.bytes);
    expect(rangesAsked("model.safetensors")).toEqual([expect.stringMatching(/^bytes=[1-9]\d*-$/)]);
  });

  test("a server without ranges: starts over", async () => {
    hub.faults.push({ file: "model.safetensors", fault: { kind: "cut", afterBytes: 100_000 } });
    hub.faults.push({ file: "model.safetensors", fault: { kind: "ignoreRange" } });
    const { path } = await fetchModel("maker/small-model");
    await expectBytes(join(path, "model.safetensors"), single.files["model.safetensors"]?.bytes);
  });

  test("503 and 429 are tried again", async () => {
    hub.faults.push({ file: "model.safetensors", fault: { kind: "status", status: 503 } });
    hub.faults.push({ file: "model.safetensors", fault: { kind: "status", status: 429, retryAfter: "0" } });
    const { path } = await fetchModel("maker/small-model");
    await expectBytes(join(path, "model.safetensors"), single.files["model.safetensors"]?.bytes);
  });
});

describe("digests", () => {
  test("damaged bytes, in large-file storage or not, are refused and removed", async () => {
    for (const file of ["model.safetensors", "config.json"]) {
      await rm(join(home, "hub"), { recursive: true, force: true });
      hub.faults.push({ file, fault: { kind: "corrupt" } });
      const error = await failure(fetchModel("maker/small-model"));
      expect(error).toBeInstanceOf(ModelError);
      expect(error.message).toMatch(new RegExp(`${file} came with the digest [0-9a-f]+, not [0-9a-f]+`));
      const blobs = await readdir(join(home, "hub/models--maker--small-model/blobs"));
      expect(blobs.filter((name) => name.endsWith(".incomplete"))).toEqual([]);
    }
    await fetchModel("maker/small-model");
  });

  test("a damaged beginning from an earlier try is thrown away and fetched anew", async () => {
    const bytes = single.files["model.safetensors"]!.bytes;
    const blob = join(home, "hub/models--maker--small-model/blobs", sha256(bytes));
    await mkdir(dirname(blob), { recursive: true });
    await writeFile(`${blob}.incomplete`, Buffer.alloc(1000, 7));
    const { path } = await fetchModel("maker/small-model");
    await expectBytes(join(path, "model.safetensors"), bytes);
    expect(rangesAsked("model.safetensors")).toEqual(["bytes=1000-", "all"]);
  });
});

test("calls at once fetch each file once", async () => {
  const all = await Promise.all(Array.from({ length: 4 }, () => fetchModel("maker/small-model")));
  expect(new Set(all.map(({ path }) => path)).size).toBe(1);
  expect(rangesAsked("model.safetensors")).toEqual(["all"]);
});

test("a link whose blob is gone counts as missing", async () => {
  const snapshot = join(home, "hub/models--maker--small-model-GGUF/snapshots", "d".repeat(40));
  await mkdir(snapshot, { recursive: true });
  await symlink("../../blobs/none", join(snapshot, "small.Q8_0.gguf"));
  const { path } = await fetchModel("maker/small-model-GGUF:small.Q8_0.gguf");
  await expectBytes(path, ggufs.files["small.Q8_0.gguf"]?.bytes);
});

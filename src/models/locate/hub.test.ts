import { mkdir, mkdtemp, readdir, readFile, readlink, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { inspect } from "node:util";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { AmalgamError, describeError, EnvironmentError, ModelError } from "../../schema/index.ts";
import { gitDigest, type HubServer, type HubServerRepository, sha256, startHub } from "../testing/hub-server.ts";
import { locateHubWith } from "./hub.ts";
import { type HubConfig, hubConfig } from "./hub-config.ts";
import { locateModel } from "./index.ts";
import type { Located } from "./located.ts";
import type { LocateProgress } from "./progress.ts";
import { parseReference } from "./reference.ts";

const commit = "a".repeat(40);
const text = (value: string): { bytes: Buffer; lfs: false } => ({ bytes: Buffer.from(value), lfs: false });
const large = (length: number, seed: number): { bytes: Buffer; lfs: true } => ({
  bytes: Buffer.from(Array.from({ length }, (_, i) => (i * 31 + seed * 17 + (i >> 8)) & 255)),
  lfs: true,
});

const single: HubServerRepository = {
  id: "maker/small-model",
  revisions: { main: commit, "refs/pr/1": "b".repeat(40) },
  files: {
    "config.json": text('{"model_type":"llama"}'),
    "generation_config.json": text("{}"),
    "tokenizer.json": text('{"version":"1.0"}'),
    "added_tokens.json": text("{}"),
    "README.md": text("# A model"),
    "pytorch_model.bin": large(5000, 9),
    "model.safetensors": large(300_000, 1),
    "onnx/model.onnx": large(5000, 8),
  },
};
const shards = { a: "model-00001-of-00002.safetensors", b: "model-00002-of-00002.safetensors" };
const sharded: HubServerRepository = {
  id: "maker/large-model",
  revisions: { main: "c".repeat(40) },
  files: {
    "config.json": text("{}"),
    "model.safetensors.index.json": text(
      JSON.stringify({ weight_map: { "x.weight": shards.b, "y.weight": shards.a } }),
    ),
    [shards.a]: large(70_000, 2),
    [shards.b]: large(70_000, 3),
    "consolidated.safetensors": large(5000, 4),
  },
};
const ggufs: HubServerRepository = {
  id: "maker/small-model-GGUF",
  revisions: { main: "d".repeat(40) },
  files: {
    "small.Q4_K_M.gguf": large(100_000, 5),
    "small.Q8_0.gguf": large(5000, 6),
    "big/whole one.gguf": large(5000, 7),
  },
};
const pickles: HubServerRepository = {
  id: "maker/pickles",
  revisions: { main: "e".repeat(40) },
  files: { "config.json": text("{}"), "pytorch_model.bin": large(100, 1) },
};
const token = "hf_a-secret-that-must-not-leak";
const gated: HubServerRepository = { ...single, id: "maker/gated-model", gatedFor: token };

let hub: HubServer;
let home: string;
beforeEach(async () => {
  hub = await startHub([single, sharded, ggufs, pickles, gated]);
  home = await mkdtemp(join(tmpdir(), "amalgam-hub-"));
});
afterEach(async () => {
  await hub.close();
  await rm(home, { recursive: true });
});

const environment = (more: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv => ({
  HF_ENDPOINT: hub.url,
  HF_HOME: home,
  ...more,
});

async function fetchModel(
  reference: string,
  more: NodeJS.ProcessEnv = {},
  settings: Partial<HubConfig> = {},
  progress: (progress: LocateProgress) => void = () => {},
): Promise<Located> {
  const parsed = parseReference(reference);
  const wanted = parsed.kind === "either" ? parsed.hub : parsed;
  if (wanted.kind !== "hub") throw new Error("not a hub id");
  const config = await hubConfig(environment(more), false);
  return locateHubWith(wanted, { baseFolder: home, progress }, { ...config, retryDelayMs: 5, ...settings });
}

async function failure(work: Promise<unknown>): Promise<AmalgamError> {
  const error = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof AmalgamError)) throw new Error(`not an error for people: ${inspect(error)}`);
  return error;
}

// Not by toEqual, which takes a second for every 300 kB.
async function expectBytes(path: string, bytes: Buffer | undefined): Promise<void> {
  expect((await readFile(path)).equals(bytes ?? Buffer.from("no such file"))).toBe(true);
}

const bytesAsked = (file: string): (string | undefined)[] =>
  hub.seen.filter(({ host, path }) => host === "files" && path.includes(file)).map(({ range }) => range ?? "all");

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
    await fetchModel("maker/small-model-GGUF:small.Q4_K_M.gguf", {}, {}, (progress) => seen.push(progress));
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
    const [first, second] = bytesAsked("model.safetensors");
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
    expect(bytesAsked("model.safetensors")).toEqual([expect.stringMatching(/^bytes=[1-9]\d*-$/)]);
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
    expect(bytesAsked("model.safetensors")).toEqual(["bytes=1000-", "all"]);
  });
});

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

test("calls at once fetch each file once", async () => {
  const all = await Promise.all(Array.from({ length: 4 }, () => fetchModel("maker/small-model")));
  expect(new Set(all.map(({ path }) => path)).size).toBe(1);
  expect(bytesAsked("model.safetensors")).toEqual(["all"]);
});

test("a link whose blob is gone counts as missing", async () => {
  const snapshot = join(home, "hub/models--maker--small-model-GGUF/snapshots", "d".repeat(40));
  await mkdir(snapshot, { recursive: true });
  await symlink("../../blobs/none", join(snapshot, "small.Q8_0.gguf"));
  const { path } = await fetchModel("maker/small-model-GGUF:small.Q8_0.gguf");
  await expectBytes(path, ggufs.files["small.Q8_0.gguf"]?.bytes);
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

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import { AmalgamError } from "../../schema/index.ts";
import { locateHubWith } from "../locate/hub.ts";
import { type HubConfig, hubConfig } from "../locate/hub-config.ts";
import type { Located, LocateProgress } from "../locate/index.ts";
import { parseReference } from "../locate/reference.ts";
import { type HubServer, type HubServerRepository, startHub } from "./hub-server.ts";

export const commit = "a".repeat(40);
const text = (value: string): { bytes: Buffer; lfs: false } => ({ bytes: Buffer.from(value), lfs: false });
const large = (length: number, seed: number): { bytes: Buffer; lfs: true } => ({
  bytes: Buffer.from(Array.from({ length }, (_, i) => (i * 31 + seed * 17 + (i >> 8)) & 255)),
  lfs: true,
});

export const single: HubServerRepository = {
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
export const shards = { a: "model-00001-of-00002.safetensors", b: "model-00002-of-00002.safetensors" };
export const sharded: HubServerRepository = {
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
export const ggufs: HubServerRepository = {
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
export const token = "hf_a-secret-that-must-not-leak";
const gated: HubServerRepository = { ...single, id: "maker/gated-model", gatedFor: token };

/** A hub with these repositories, an empty home for its cache, and the way through the two. */
export interface HubSetting {
  readonly hub: HubServer;
  readonly home: string;
  readonly environment: (more?: NodeJS.ProcessEnv) => NodeJS.ProcessEnv;
  readonly fetchModel: (
    reference: string,
    more?: NodeJS.ProcessEnv,
    progress?: (progress: LocateProgress) => void,
  ) => Promise<Located>;
  /** The ranges in which a large file was asked for so far; "all" for the whole. */
  readonly rangesAsked: (file: string) => string[];
  readonly close: () => Promise<void>;
}

export async function hubSetting(): Promise<HubSetting> {
  const hub = await startHub([single, sharded, ggufs, pickles, gated]);
  const home = await mkdtemp(join(tmpdir(), "amalgam-hub-"));
  const environment = (more: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv => ({
    HF_ENDPOINT: hub.url,
    HF_HOME: home,
    ...more,
  });
  return {
    hub,
    home,
    environment,
    fetchModel: async (reference, more = {}, progress = () => {}) => {
      const parsed = parseReference(reference);
      const wanted = parsed.kind === "either" ? parsed.hub : parsed;
      if (wanted.kind !== "hub") throw new Error("not a hub id");
      const config: HubConfig = { ...(await hubConfig(environment(more), false)), retryDelayMs: 5 };
      return locateHubWith(wanted, { baseFolder: home, progress }, config);
    },
    rangesAsked: (file) =>
      hub.seen.filter(({ host, path }) => host === "files" && path.includes(file)).map(({ range }) => range ?? "all"),
    close: async () => {
      await hub.close();
      await rm(home, { recursive: true });
    },
  };
}

/** The error for people that `work` must end with. */
export async function failure(work: Promise<unknown>): Promise<AmalgamError> {
  const error = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof AmalgamError)) throw new Error(`not an error for people: ${inspect(error)}`);
  return error;
}

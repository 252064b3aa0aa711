import { listFiles, listModels, modelInfo } from "@huggingface/hub";
import { z } from "zod";
import { didYouMean, EnvironmentError, ModelError, nearest } from "../../schema/index.ts";
import { isCommit } from "./hub-cache.ts";
import { type HubClient, HubRefusal, HubUnreachable } from "./hub-client.ts";
import type { HubConfig } from "./hub-config.ts";
import type { HubFile } from "./hub-download.ts";
import { answerError } from "./hub-errors.ts";
import { type HubReference, hubLabel, isSafeRelativePath } from "./reference.ts";

const entrySchema = z.object({
  type: z.string(),
  path: z.string(),
  size: z.int().min(0),
  oid: z.string().regex(/^[0-9a-f]{40}$/),
  lfs: z.object({ oid: z.string().regex(/^[0-9a-f]{64}$/), size: z.int().min(0) }).optional(),
});

/** The commit that the revision stands at now. Throws ModelError with a suggestion when there is no such model. */
export async function resolveCommit(client: HubClient, config: HubConfig, reference: HubReference): Promise<string> {
  const info = await ask(client, config, reference, () =>
    modelInfo({
      name: reference.id,
      revision: reference.revision,
      additionalFields: ["sha"],
      hubUrl: config.endpoint,
      fetch: client.fetch,
    }),
  );
  if (!isCommit(info.sha)) throw strangeAnswer(config, "the commit of a model");
  return info.sha;
}

/** The files of one folder of a repository at a commit, without those below it. */
export async function listRepository(
  client: HubClient,
  config: HubConfig,
  reference: HubReference,
  commit: string,
  under: string | undefined,
): Promise<HubFile[]> {
  const entries = await ask(client, config, reference, async () => {
    const all = [];
    const place = under === undefined ? {} : { path: under.split("/").map(encodeURIComponent).join("/") };
    const query = { repo: reference.id, revision: commit, hubUrl: config.endpoint, fetch: client.fetch, ...place };
    for await (const entry of listFiles(query)) all.push(entry);
    return all;
  });
  const files: HubFile[] = [];
  for (const entry of entries) {
    if (entry.type !== "file") continue;
    const parsed = entrySchema.safeParse(entry);
    if (!parsed.success) throw strangeAnswer(config, "the list of a model's files");
    const { path, size, oid, lfs } = parsed.data;
    if (!isSafeRelativePath(path)) continue;
    files.push(
      lfs === undefined
        ? { name: path, bytes: size, digest: { kind: "git", hex: oid } }
        : { name: path, bytes: lfs.size, digest: { kind: "sha256", hex: lfs.oid } },
    );
  }
  return files;
}

/** Throws the ModelError for a file that the listing lacks. */
export function fileMissing(label: string, name: string, names: readonly string[]): never {
  const alike = names.filter((other) => other.split(".").at(-1) === name.split(".").at(-1));
  const listed = alike.length === 0 ? "" : `It has ${alike.slice(0, 12).join(", ")}.`;
  throw new ModelError(`${label}: the repository has no ${name}`, { hint: `${didYouMean(name, alike)}${listed}` });
}

/** Runs one of the hub package's functions and turns what it throws into errors for people. */
async function ask<T>(
  client: HubClient,
  config: HubConfig,
  reference: HubReference,
  question: () => Promise<T>,
): Promise<T> {
  try {
    return await question();
  } catch (error) {
    if (error instanceof HubRefusal) {
      const { status, errorCode } = error;
      const unknown = [401, 403, 404].includes(status) && errorCode !== "RevisionNotFound";
      const suggestion = unknown ? await suggestModel(client, config, reference) : "";
      throw answerError(status, errorCode, hubLabel(reference), suggestion);
    }
    if (error instanceof SyntaxError || error instanceof TypeError)
      throw strangeAnswer(config, "a question about a model", error);
    throw error;
  }
}

/** `Did you mean X?` from the hub's own search; nothing when that fails too. */
async function suggestModel(client: HubClient, config: HubConfig, reference: HubReference): Promise<string> {
  const [owner = "", name = ""] = reference.id.split("/");
  const found: string[] = [];
  for (const query of [name, name.split(/[-_.]/)[0] ?? name]) {
    try {
      const search = { search: { query }, limit: 50, sort: "downloads" as const, hubUrl: config.endpoint };
      for await (const model of listModels({ ...search, fetch: client.fetch })) found.push(model.name);
    } catch (error) {
      if (error instanceof HubUnreachable || error instanceof HubRefusal || error instanceof TypeError) return "";
      throw error;
    }
    const best = nearest(reference.id, found) ?? found.find((id) => id.endsWith(`/${name}`));
    if (best !== undefined && best !== `${owner}/${name}`) return `Did you mean ${best}? `;
  }
  return "";
}

function strangeAnswer(config: HubConfig, what: string, cause?: unknown): EnvironmentError {
  return new EnvironmentError(`${new URL(config.endpoint).host} does not answer ${what} as the hub does`, {
    hint: "HF_ENDPOINT must name a Hugging Face hub or a full mirror of one.",
    cause,
  });
}

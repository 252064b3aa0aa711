import { createHash, type Hash } from "node:crypto";
import { createReadStream } from "node:fs";
import { type FileHandle, mkdir, open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { AmalgamError, EnvironmentError, ModelError } from "../../schema/index.ts";
import { errorCode } from "./disk.ts";
import { fileSize } from "./hub-cache.ts";
import { type HubClient, HubUnreachable } from "./hub-client.ts";
import type { HubConfig } from "./hub-config.ts";
import { answerError } from "./hub-errors.ts";

/** One file of a repository at a commit. */
export interface HubFile {
  readonly name: string;
  readonly bytes: number;
  /** sha256 of the bytes for files in large-file storage, else git's sha1 of the blob: also the name in the cache. */
  readonly digest: { readonly kind: "sha256" | "git"; readonly hex: string };
}

/** The transfer broke off and may be tried again. */
class TransferBroken extends Error {
  readonly waitMs: number | undefined;
  constructor(message: string, waitMs?: number, cause?: unknown) {
    super(message, { cause });
    this.waitMs = waitMs;
  }
}

interface Transfer {
  readonly client: HubClient;
  readonly url: string;
  readonly file: HubFile;
  readonly target: FileHandle;
  hash: Hash;
  position: number;
  readonly onBytes: (bytes: number) => void;
}

const mostTriesWithoutProgress = 5;
const longestWaitMs = 60_000;

/**
 * Downloads one file to `path` by way of `path.incomplete`: goes on where an earlier try ended (HTTP Range), tries
 * again when the connection breaks, and gives the file its name only when its digest is right.
 * `onBytes` hears bytes as they are on disk, those of the earlier try included, and a negative number when some are dropped.
 * Throws ModelError when the digest is wrong twice or the hub refuses, EnvironmentError when the connection stays broken.
 */
export async function downloadFile(
  client: HubClient,
  config: HubConfig,
  url: string,
  file: HubFile,
  path: string,
  onBytes: (bytes: number) => void,
): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const incomplete = `${path}.incomplete`;
  for (let fresh = false; ; fresh = true) {
    const target = await open(incomplete, (await fileSize(incomplete)) === undefined ? "w" : "r+");
    let digest: string;
    try {
      const transfer = { client, url, file, target, hash: newHash(file), position: 0, onBytes };
      await readPresent(transfer, incomplete);
      const resumed = transfer.position > 0;
      await transferAll(transfer, config);
      await target.sync();
      digest = transfer.hash.digest("hex");
      if (digest === file.digest.hex) break;
      onBytes(-transfer.position);
      fresh ||= !resumed;
    } finally {
      await target.close();
    }
    await rm(incomplete);
    if (fresh) {
      throw new ModelError(`${file.name} came with the digest ${digest}, not ${file.digest.hex}`, {
        hint: "The hub, or a proxy before it, serves damaged bytes. What came was removed: run the command again later.",
      });
    }
  }
  await rename(incomplete, path);
}

/** Takes what an earlier try left into the hash. */
async function readPresent(transfer: Transfer, incomplete: string): Promise<void> {
  if (((await fileSize(incomplete)) ?? 0) > transfer.file.bytes) await transfer.target.truncate(0);
  for await (const chunk of createReadStream(incomplete, { highWaterMark: 1 << 20 })) {
    transfer.hash.update(chunk as Uint8Array);
    transfer.position += (chunk as Uint8Array).length;
  }
  transfer.onBytes(transfer.position);
}

async function transferAll(transfer: Transfer, config: HubConfig): Promise<void> {
  const { file } = transfer;
  for (let tries = 0; transfer.position < file.bytes; ) {
    const before = transfer.position;
    try {
      await transferOnce(transfer);
    } catch (error) {
      const broken = brokenBy(error);
      if (broken === undefined) throw error;
      tries = transfer.position > before ? 1 : tries + 1;
      if (tries >= mostTriesWithoutProgress) {
        throw new EnvironmentError(`the download of ${file.name} breaks off again and again (${broken.message})`, {
          hint: "What came is kept: run the command again, and it goes on from there.",
        });
      }
      await sleep(Math.min(longestWaitMs, broken.waitMs ?? config.retryDelayMs * 2 ** (tries - 1)));
    }
  }
}

async function transferOnce(transfer: Transfer): Promise<void> {
  const { client, url, file, target } = transfer;
  const range = transfer.position > 0 ? { range: `bytes=${transfer.position}-` } : {};
  const { response, hubHeaders } = await client.get(url, { "accept-encoding": "identity", ...range });
  if (response.status === 206) {
    const start = /^bytes (\d+)-/.exec(response.headers.get("content-range") ?? "")?.[1];
    if (Number(start) !== transfer.position) {
      await response.body?.cancel();
      throw new TransferBroken("the server sent another range than asked for");
    }
  } else if (response.status === 200) {
    await startOver(transfer);
  } else if (response.status === 416) {
    await response.body?.cancel();
    await startOver(transfer);
    throw new TransferBroken("the server refused to go on in the middle");
  } else {
    await response.body?.cancel();
    if (response.status === 408 || response.status === 429 || response.status >= 500) {
      throw new TransferBroken(`HTTP ${response.status}`, retryAfter(response.headers.get("retry-after")));
    }
    throw answerError(response.status, hubHeaders.get("x-error-code"), file.name);
  }

  const announced = hubHeaders.get("x-linked-size");
  if (announced !== null && Number(announced) !== file.bytes) {
    await response.body?.cancel();
    throw otherFile(`the hub lists ${file.name} with ${file.bytes} bytes and announces ${announced}`);
  }
  if (response.body === null) throw new TransferBroken("an answer without bytes");
  for await (const chunk of response.body) {
    const bytes = chunk as Uint8Array;
    if (transfer.position + bytes.length > file.bytes) {
      throw otherFile(`the hub sends more than the ${file.bytes} bytes that ${file.name} has`);
    }
    await target.writev([bytes], transfer.position);
    transfer.hash.update(bytes);
    transfer.position += bytes.length;
    transfer.onBytes(bytes.length);
  }
  if (transfer.position < file.bytes) throw new TransferBroken("the connection was cut");
}

const otherFile = (message: string): ModelError =>
  new ModelError(message, { hint: "HF_ENDPOINT may name a mirror that is out of date." });

async function startOver(transfer: Transfer): Promise<void> {
  transfer.onBytes(-transfer.position);
  await transfer.target.truncate(0);
  transfer.hash = newHash(transfer.file);
  transfer.position = 0;
}

function newHash({ digest, bytes }: HubFile): Hash {
  return digest.kind === "sha256" ? createHash("sha256") : createHash("sha1").update(`blob ${bytes}\0`);
}

/** What can be tried again: a cut or silent connection, not a full disk or an answer of the hub. */
function brokenBy(error: unknown): TransferBroken | undefined {
  if (error instanceof TransferBroken) return error;
  if (error instanceof AmalgamError && !(error instanceof HubUnreachable)) return undefined;
  const connection = /^(UND_ERR_|ECONN|EPIPE$|ETIMEDOUT$)/.test(errorCode(error) ?? "");
  const terminated = error instanceof TypeError && error.message === "terminated";
  if (!connection && !terminated && !(error instanceof HubUnreachable)) return undefined;
  return new TransferBroken(error instanceof Error ? error.message : String(error), undefined, error);
}

function retryAfter(header: string | null): number | undefined {
  if (header === null) return undefined;
  const seconds = /^\d+$/.test(header) ? Number(header) : (Date.parse(header) - Date.now()) / 1000;
  return Number.isFinite(seconds) ? Math.max(0, seconds * 1000) : undefined;
}

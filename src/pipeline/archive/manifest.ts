import { createHash } from "node:crypto";
import { createReadStream, existsSync, readFileSync } from "node:fs";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { DataError, issueWords } from "../../schema/index.ts";
import { newestSchema, type RunTable, runTables } from "../../store/index.ts";

/** The names within an export. */
export const exportPaths = (folder: string) => ({
  manifest: join(folder, "manifest.json"),
  readme: join(folder, "README.md"),
  table: (name: RunTable) => join(folder, tableFile(name)),
  /** What the run folder has beside its ledger. */
  files: join(folder, "run"),
});

export const tableFile = (name: RunTable): string => `${name}.parquet`;

/** The first schema whose ledgers could be exported. */
const firstSchema = 6;

const digest = z.string().regex(/^[0-9a-f]{64}$/, "a SHA-256 digest of 64 hexadecimal digits");
const written = { bytes: z.int().min(0), sha256: digest };

/** A path below the run folder, and nowhere else. */
const innerPath = z
  .string()
  .refine(
    (path) => !/[\\\0]/.test(path) && path.split("/").every((part) => part !== "" && part !== "." && part !== ".."),
    "a path below the run folder",
  );

const tableSchema = z.strictObject({ rows: z.int().min(0), ...written });
const tableNames = Object.keys(runTables) as RunTable[];

const manifestSchema = z.strictObject({
  format: z.literal("amalgam-run"),
  /** Of the export's own form. */
  version: z.literal(1),
  /** Of the ledger's schema. */
  schema: z.int().min(firstSchema),
  tables: z.partialRecord(z.enum(tableNames), tableSchema),
  files: z.array(z.strictObject({ path: innerPath, ...written })),
});
export type Manifest = z.infer<typeof manifestSchema>;
export type Written = Pick<z.infer<typeof tableSchema>, "bytes" | "sha256">;

/**
 * What an export says of itself.
 *
 * @throws DataError where there is none, it has another form, or another Amalgam wrote it that this one can't read.
 */
export function readManifest(folder: string): Manifest {
  const file = exportPaths(folder).manifest;
  if (!existsSync(file))
    throw new DataError("there is no export here: the folder has no manifest.json", {
      file: folder,
      hint: "Name a folder that `amalgam export` has written.",
    });
  const value = parsed(file);
  refuseOthers(file, value);
  const found = manifestSchema.safeParse(value);
  if (found.success) return found.data;
  const issue = found.error.issues[0]!;
  const { message, hint } = issueWords(issue, value);
  throw new DataError(message, {
    file,
    field: issue.path.join("."),
    hint: hint ?? "Take the export as it was written.",
  });
}

function parsed(file: string): unknown {
  try {
    return JSON.parse(readFileSync(file, "utf8"));
  } catch (cause) {
    throw new DataError(`is no JSON: ${(cause as Error).message}`, {
      file,
      cause,
      hint: "It is damaged or was cut off: copy the export again.",
    });
  }
}

const versions = z.object({ format: z.string(), version: z.int(), schema: z.int() });

function refuseOthers(file: string, value: unknown): void {
  const known = versions.safeParse(value);
  if (!known.success || known.data.format !== "amalgam-run") return;
  const { version, schema } = known.data;
  if (version > 1 || schema > newestSchema)
    throw new DataError(
      `this export has form ${version} and the ledger's schema ${schema}; this Amalgam knows form 1 and schemas up to ${newestSchema}`,
      { file, hint: "A newer Amalgam wrote it: upgrade Amalgam, nothing was changed." },
    );
  if (schema < firstSchema)
    throw new DataError(`this export has the ledger's schema ${schema}; none before ${firstSchema} was ever exported`, {
      file,
      field: "schema",
      hint: "Take the manifest as it was written.",
    });
}

/** Size and digest of a file; `seen` is told of the bytes as they are read. */
export async function digestOf(file: string, seen: (bytes: number) => void): Promise<Written> {
  const hash = createHash("sha256");
  let bytes = 0;
  for await (const chunk of createReadStream(file, { highWaterMark: 2 ** 20 })) {
    const part = chunk as Buffer;
    hash.update(part);
    bytes += part.length;
    seen(part.length);
  }
  return { bytes, sha256: hash.digest("hex") };
}

/** Holds a file to what the manifest says of it. @throws DataError where it is missing or another one */
export async function checkFile(file: string, { bytes, sha256 }: Written, seen: (bytes: number) => void) {
  const found = await stat(file).catch(() => undefined);
  if (found?.isFile() !== true)
    throw new DataError("a file of the export is missing", { file, hint: "Copy the export again, whole." });
  const hint = "It is damaged, was cut off or changed: copy the export again.";
  if (found.size !== bytes)
    throw new DataError(`the file has ${found.size} bytes; the manifest says ${bytes}`, { file, hint });
  if ((await digestOf(file, seen)).sha256 !== sha256)
    throw new DataError("the file is not the one of the manifest: its digest is another", { file, hint });
}

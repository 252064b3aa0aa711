import { readFile } from "node:fs/promises";
import { tableFromIPC } from "@uwdata/flechette";
import { DataError, type JsonLine } from "../schema/index.ts";

/** The rows of an Arrow file, as `datasets` saves them; the whole file is in memory. */
export async function* readArrow(file: string): AsyncGenerator<JsonLine> {
  const table = await opened(file);
  let line = 0;
  for (const value of table) {
    line += 1;
    yield { line, value: plain(value) };
  }
}

async function opened(file: string) {
  try {
    // Proxies would hide the fields from who asks for their names.
    return tableFromIPC(await readFile(file), { useBigInt: false, useProxy: false });
  } catch (cause) {
    const missing = (cause as NodeJS.ErrnoException).code === "ENOENT";
    throw new DataError(
      missing ? "there is no such file" : `the Arrow file can't be read: ${(cause as Error).message}`,
      {
        file,
        cause,
        hint: missing ? "Check the path of the data." : "It is damaged or was cut off: write or fetch it again.",
      },
    );
  }
}

/** Lists and numbers of every width as JavaScript's own. */
function plain(value: unknown): unknown {
  if (value instanceof Date || value === null || typeof value !== "object") return value;
  if (ArrayBuffer.isView(value)) return Array.from(value as Uint8Array);
  if (Array.isArray(value)) return value.map(plain);
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, plain(inner)]));
}

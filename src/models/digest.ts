import { createHash } from "node:crypto";
import { closeSync, openSync, readSync } from "node:fs";

/** SHA-256 over the bytes of these files, in order: what identifies a model's weights. */
export function digestFiles(paths: readonly string[]): string {
  const hash = createHash("sha256");
  const buffer = Buffer.allocUnsafe(8 << 20);
  for (const path of paths) {
    const descriptor = openSync(path, "r");
    try {
      for (let read = readSync(descriptor, buffer); read > 0; read = readSync(descriptor, buffer))
        hash.update(buffer.subarray(0, read));
    } finally {
      closeSync(descriptor);
    }
  }
  return hash.digest("hex");
}

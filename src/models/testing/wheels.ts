import { createHash } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { strToU8, zipSync } from "fflate";
import type { ModelPackage } from "../locate/index.ts";

/** Writes one wheel for every piece into `folder`, as pip finds them there, and gives the package that they make up. */
export async function writeWheels(folder: string, pieces: readonly Uint8Array[]): Promise<ModelPackage> {
  await mkdir(folder, { recursive: true });
  const parts = [];
  for (const [index, piece] of pieces.entries()) {
    const project = `amalgam-test-part${index + 1}`;
    const module = project.replaceAll("-", "_");
    const entry = `${module}/data/part${index + 1}.bin`;
    const about = `${module}-1.0.dist-info`;
    const wheel = zipSync({
      [`${module}/__init__.py`]: strToU8(""),
      [entry]: piece,
      [`${about}/METADATA`]: strToU8(`Metadata-Version: 2.1\nName: ${project}\nVersion: 1.0\nRequires-Python: >=99\n`),
      [`${about}/WHEEL`]: strToU8("Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"),
      [`${about}/RECORD`]: strToU8(""),
    });
    await writeFile(join(folder, wheelName(index)), wheel);
    parts.push({ project, version: "1.0", entry, bytes: piece.length, sha256: sha256(piece) });
  }
  const whole = Buffer.concat(pieces);
  return { version: "1.0", file: "model.gguf", bytes: whole.length, sha256: sha256(whole), parts };
}

/** File name of the wheel of piece `index`. */
export const wheelName = (index: number): string => `amalgam_test_part${index + 1}-1.0-py3-none-any.whl`;

const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

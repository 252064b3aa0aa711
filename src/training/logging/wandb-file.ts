import { crc32 } from "node:zlib";

const blockSize = 32_768;
const headerSize = 7;
/** Kinds of pieces: a whole record, or its first, middle or last piece. */
const [full, first, middle, last] = [1, 2, 3, 4] as const;

/** The seven bytes that a `.wandb` file begins with: ":W&B", a magic number, version 0. */
export const wandbHeader = Buffer.from([0x3a, 0x57, 0x26, 0x42, 0xe1, 0xbe, 0x00]);

/**
 * A record as a `.wandb` file holds it when `offset` bytes stand before it: LevelDB's log format. Blocks of 32 KiB; a
 * record that crosses their border is cut into pieces, each with its CRC-32 (of kind and data), length and kind before it.
 */
export function wandbRecord(data: Uint8Array, offset: number): Buffer {
  const parts: Buffer[] = [];
  let at = offset;
  let rest = data;
  for (let begins = true; begins || rest.length > 0; ) {
    const left = blockSize - (at % blockSize);
    if (left < headerSize) {
      parts.push(Buffer.alloc(left));
      at += left;
      continue;
    }
    const piece = rest.subarray(0, left - headerSize);
    rest = rest.subarray(piece.length);
    const ends = rest.length === 0;
    const kind = begins ? (ends ? full : first) : ends ? last : middle;
    const header = Buffer.alloc(headerSize);
    header[6] = kind;
    header.writeUInt16LE(piece.length, 4);
    header.writeUInt32LE(crc32(Buffer.concat([header.subarray(6), piece])));
    parts.push(header, Buffer.from(piece));
    at += headerSize + piece.length;
    // A first piece may be empty, where a block has room for nothing but its header.
    begins = false;
  }
  return Buffer.concat(parts);
}

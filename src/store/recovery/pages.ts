import { closeSync, existsSync, fstatSync, openSync, readSync } from "node:fs";

/** The pages of a SQLite file as its last commit left them, read without SQLite: it refuses files that are damaged. */
export interface Pages {
  readonly size: number;
  /** Bytes of each page that hold data. */
  readonly usable: number;
  /** Pages that the file had or should have. */
  readonly count: number;
  /** What is wrong with the file as a whole. */
  readonly faults: readonly string[];
  /** A page, counted from 1; undefined where the file does not reach. */
  page(number: number): Buffer | undefined;
  /** Page versions of the write-ahead log that were never committed, or stand beyond a damaged place of it. */
  loose(): Iterable<Buffer>;
  close(): void;
}

const magic = "SQLite format 3\0";
const usualSize = 4096;
const walHeader = 32;
const frameHeader = 24;

/** Opens `file` and its write-ahead log, if there is one. */
export function openPages(file: string): Pages {
  const main = existsSync(file) ? openSync(file, "r") : undefined;
  const bytes = main === undefined ? 0 : fstatSync(main).size;
  const header = Buffer.alloc(100);
  if (main !== undefined) readSync(main, header, 0, 100, 0);
  const faults: string[] = [];
  const told = header.readUInt16BE(16) === 1 ? 65_536 : header.readUInt16BE(16);
  const isWhole = header.toString("latin1", 0, 16) === magic && told >= 512 && (told & (told - 1)) === 0;
  const size = isWhole ? told : usualSize;
  const usable = isWhole ? size - header[20]! : size;
  if (main === undefined) faults.push("the file is gone");
  else if (bytes === 0) faults.push("the file is empty");
  else if (!isWhole) faults.push("the file's header is overwritten");
  const log = openLog(`${file}-wal`, size);
  const inFile = Math.floor(bytes / size);
  const expected = isWhole ? header.readUInt32BE(28) : 0;
  if (log?.committed.size === undefined && bytes > 0 && inFile < expected)
    faults.push(`the file is cut off: ${inFile} of ${expected} pages are there`);
  if (log?.fault !== undefined) faults.push(log.fault);
  return {
    size,
    usable,
    count: Math.max(inFile, expected, ...(log === undefined ? [] : [log.highest])),
    faults,
    page(number) {
      const inLog = log?.committed.get(number);
      if (inLog !== undefined) return log!.read(inLog);
      if (main === undefined) return undefined;
      const page = Buffer.alloc(size);
      return readSync(main, page, 0, size, (number - 1) * size) === size ? page : undefined;
    },
    *loose() {
      for (const at of log?.others ?? []) yield log!.read(at);
    },
    close() {
      if (main !== undefined) closeSync(main);
      log?.close();
    },
  };
}

interface Log {
  /** Where the newest committed version of each page stands. */
  readonly committed: ReadonlyMap<number, number>;
  readonly others: readonly number[];
  readonly highest: number;
  readonly fault: string | undefined;
  read(at: number): Buffer;
  close(): void;
}

/** Reads which frames of a write-ahead log count: those whose checksums go on from the first one, up to the last commit. */
function openLog(file: string, size: number): Log | undefined {
  if (!existsSync(file)) return undefined;
  const log = openSync(file, "r");
  const bytes = fstatSync(log).size;
  if (bytes < walHeader + frameHeader + size) {
    closeSync(log);
    return undefined;
  }
  const header = Buffer.alloc(walHeader);
  readSync(log, header, 0, walHeader, 0);
  const word = header.readUInt32BE(0);
  const isLog = word === 0x377f0682 || word === 0x377f0683;
  const add = checksum(word === 0x377f0683);
  const committed = new Map<number, number>();
  const others: number[] = [];
  let waiting: { page: number; at: number }[] = [];
  let sums: Sums = isLog ? add([0, 0], header.subarray(0, 24)) : [0, 0];
  let counts = isLog && sums[0] === header.readUInt32BE(24) && sums[1] === header.readUInt32BE(28);
  const fault = counts ? undefined : "the header of the write-ahead log (run.db-wal) is overwritten";
  const frame = Buffer.alloc(frameHeader + size);
  for (let at = walHeader; at + frame.length <= bytes; at += frame.length) {
    readSync(log, frame, 0, frame.length, at);
    const isOwn =
      frame.readUInt32BE(8) === header.readUInt32BE(16) && frame.readUInt32BE(12) === header.readUInt32BE(20);
    if (counts && isOwn) {
      sums = add(add(sums, frame.subarray(0, 8)), frame.subarray(frameHeader));
      counts = sums[0] === frame.readUInt32BE(16) && sums[1] === frame.readUInt32BE(20);
    } else counts = false;
    if (!counts) {
      others.push(at + frameHeader);
      continue;
    }
    waiting.push({ page: frame.readUInt32BE(0), at: at + frameHeader });
    if (frame.readUInt32BE(4) === 0) continue;
    for (const each of waiting) committed.set(each.page, each.at);
    waiting = [];
  }
  others.push(...waiting.map(({ at }) => at));
  return {
    committed,
    others,
    highest: Math.max(0, ...committed.keys()),
    fault,
    read(at) {
      const page = Buffer.alloc(size);
      readSync(log, page, 0, size, at);
      return page;
    },
    close: () => closeSync(log),
  };
}

type Sums = readonly [number, number];

/** The log's checksum: two sums over pairs of 32-bit words, each of which takes in the other. */
const checksum =
  (bigEndian: boolean) =>
  ([first, second]: Sums, data: Buffer): Sums => {
    let [a, b] = [first, second];
    for (let at = 0; at < data.length; at += 8) {
      a = (a + (bigEndian ? data.readUInt32BE(at) : data.readUInt32LE(at)) + b) >>> 0;
      b = (b + (bigEndian ? data.readUInt32BE(at + 4) : data.readUInt32LE(at + 4)) + a) >>> 0;
    }
    return [a, b];
  };

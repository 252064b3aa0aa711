import type { Pages } from "./pages.ts";

export type Value = string | number | Buffer | null;

/** A row of a table as its file holds it. */
export interface Row {
  readonly number: number;
  readonly values: readonly Value[];
}

const interior = 0x05;
const leaf = 0x0d;

const headerAt = (number: number) => (number === 1 ? 100 : 0);

/** Whether a page looks like one that holds rows of a table. */
export const isLeaf = (page: Buffer, number = 0): boolean => page[headerAt(number)] === leaf;

/**
 * The pages below a page of a table that divides its rows, with the greatest row number that it names; undefined for
 * other pages.
 */
export function childrenOf(
  page: Buffer,
  number: number,
): { readonly pages: readonly number[]; readonly greatest: number } | undefined {
  const start = headerAt(number);
  if (page[start] !== interior) return undefined;
  const pages: number[] = [];
  let greatest = 0;
  for (let cell = 0; cell < page.readUInt16BE(start + 3); cell += 1) {
    const pointer = start + 12 + 2 * cell;
    if (pointer + 2 > page.length) break;
    const at = page.readUInt16BE(pointer);
    if (at + 5 > page.length) continue;
    pages.push(page.readUInt32BE(at));
    greatest = Math.max(greatest, varint(page, at + 4)?.value ?? 0);
  }
  return { pages: [...pages, page.readUInt32BE(start + 8)], greatest };
}

/** The rows of a page; undefined in the place of one that can't be read. */
export function* rowsOn(pages: Pages, page: Buffer, number = 0): Generator<Row | undefined> {
  const start = headerAt(number);
  const count = page.readUInt16BE(start + 3);
  for (let cell = 0; cell < count; cell += 1) {
    const pointer = start + 8 + 2 * cell;
    if (pointer + 2 > page.length) return;
    yield rowAt(pages, page, page.readUInt16BE(pointer));
  }
}

function rowAt(pages: Pages, page: Buffer, at: number): Row | undefined {
  const length = varint(page, at);
  const number = length && varint(page, length.next);
  if (length === undefined || number === undefined) return undefined;
  const payload = payloadAt(pages, page, number.next, length.value);
  const values = payload && valuesOf(payload);
  return values && { number: number.value, values };
}

/** What stands of a row on its page, and what stands on the pages of overflow that follow. */
function payloadAt(pages: Pages, page: Buffer, at: number, length: number): Buffer | undefined {
  const { usable } = pages;
  const most = usable - 35;
  if (length <= most) return at + length <= usable ? page.subarray(at, at + length) : undefined;
  if (length > usable * pages.count) return undefined;
  const least = Math.floor(((usable - 12) * 32) / 255) - 23;
  const fitting = least + ((length - least) % (usable - 4));
  const local = fitting <= most ? fitting : least;
  if (at + local + 4 > usable) return undefined;
  const parts = [page.subarray(at, at + local)];
  let next = page.readUInt32BE(at + local);
  for (let left = length - local; left > 0; ) {
    const further = next === 0 ? undefined : pages.page(next);
    if (further === undefined) return undefined;
    const part = further.subarray(4, 4 + Math.min(left, usable - 4));
    parts.push(part);
    left -= part.length;
    next = further.readUInt32BE(0);
  }
  return Buffer.concat(parts);
}

const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const lengthsOfNumbers = [0, 1, 2, 3, 4, 6, 8];

/** The values of a record; undefined where its parts don't fit together. */
function valuesOf(record: Buffer): Value[] | undefined {
  const header = varint(record, 0);
  if (header === undefined || header.value > record.length) return undefined;
  const values: Value[] = [];
  let [kindAt, at] = [header.next, header.value];
  while (kindAt < header.value) {
    const kind = varint(record, kindAt);
    if (kind === undefined) return undefined;
    kindAt = kind.next;
    const type = kind.value;
    const length = type >= 12 ? Math.floor((type - 12) / 2) : type === 7 ? 8 : (lengthsOfNumbers[type] ?? 0);
    if (at + length > record.length || type === 10 || type === 11) return undefined;
    const part = record.subarray(at, at + length);
    at += length;
    if (type === 0) values.push(null);
    else if (type === 7) values.push(part.readDoubleBE());
    else if (type === 8 || type === 9) values.push(type - 8);
    else if (type < 7) values.push(length === 8 ? Number(part.readBigInt64BE()) : part.readIntBE(0, length));
    else if (type % 2 === 0) values.push(part);
    else {
      const text = decoded(part);
      if (text === undefined) return undefined;
      values.push(text);
    }
  }
  return at === record.length && kindAt === header.value ? values : undefined;
}

function decoded(bytes: Buffer): string | undefined {
  try {
    return strict.decode(bytes);
  } catch {
    return undefined;
  }
}

/** A number of SQLite's own form, seven bits a byte; the ninth byte has eight. */
function varint(bytes: Buffer, start: number): { readonly value: number; readonly next: number } | undefined {
  let value = 0;
  for (let at = start; at < start + 9; at += 1) {
    const byte = bytes[at];
    if (byte === undefined) return undefined;
    if (at === start + 8) return { value: value * 256 + byte, next: at + 1 };
    value = value * 128 + (byte & 0x7f);
    if (byte < 0x80) return { value, next: at + 1 };
  }
  return undefined;
}

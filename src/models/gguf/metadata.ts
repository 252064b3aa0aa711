import type { Cursor } from "./cursor.ts";
import { shown } from "./cursor.ts";

/** Numbers of one type come as a typed array; 64-bit integers as numbers where all of them are safe. */
export type GgufArray =
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | Float32Array
  | Float64Array
  | BigUint64Array
  | BigInt64Array
  | readonly boolean[]
  | readonly string[]
  | readonly GgufArray[];

/** A bigint only where a number would lose digits. */
export type GgufValue = number | bigint | boolean | string | GgufArray;

type NumberArray = Exclude<GgufArray, readonly unknown[]>;

interface NumberType {
  readonly width: number;
  readonly array: new (buffer: ArrayBuffer) => NumberArray;
  readonly read: (view: DataView) => number | bigint;
}

const boolType = 7;
const stringType = 8;
const arrayType = 9;
const numberTypes: Readonly<Record<number, NumberType>> = {
  0: { width: 1, array: Uint8Array, read: (view) => view.getUint8(0) },
  1: { width: 1, array: Int8Array, read: (view) => view.getInt8(0) },
  2: { width: 2, array: Uint16Array, read: (view) => view.getUint16(0, true) },
  3: { width: 2, array: Int16Array, read: (view) => view.getInt16(0, true) },
  4: { width: 4, array: Uint32Array, read: (view) => view.getUint32(0, true) },
  5: { width: 4, array: Int32Array, read: (view) => view.getInt32(0, true) },
  6: { width: 4, array: Float32Array, read: (view) => view.getFloat32(0, true) },
  10: { width: 8, array: BigUint64Array, read: (view) => view.getBigUint64(0, true) },
  11: { width: 8, array: BigInt64Array, read: (view) => view.getBigInt64(0, true) },
  12: { width: 8, array: Float64Array, read: (view) => view.getFloat64(0, true) },
};

const deepest = 4;
/** Of an array that is no typed array; the largest vocabularies in use have a quarter of a million. */
const mostItems = 1 << 24;
const longestKey = 65_535;
/** A key's length, a type and a value of one byte. */
const smallestEntry = 8 + 4 + 1;

/** @throws ModelError for whatever breaks the format */
export function readMetadata(cursor: Cursor, entries: number): Map<string, GgufValue> {
  const metadata = new Map<string, GgufValue>();
  for (let entry = 0; entry < entries; entry++) {
    cursor.field = undefined;
    const at = cursor.position();
    const key = cursor.string(`the key of metadata entry ${entry}`, longestKey);
    if (metadata.has(key)) throw cursor.error(`the metadata key ${shown(key)} stands there twice`, undefined, at);
    cursor.field = shown(key).slice(1, -1);
    metadata.set(key, readValue(cursor, cursor.uint32("the value's type"), 0));
  }
  cursor.field = undefined;
  return metadata;
}

/** Number of metadata entries, held to what the file can hold. */
export const readEntryCount = (cursor: Cursor): number => cursor.count("the number of metadata entries", smallestEntry);

function readValue(cursor: Cursor, type: number, depth: number): GgufValue {
  if (type === stringType) return cursor.string("the value");
  if (type === arrayType) return readArray(cursor, depth);
  if (type === boolType) return readBoolean(cursor);
  const { width, read } = numberType(cursor, type);
  const value = read(cursor.view(width, "the value"));
  return typeof value === "bigint" && isSafe(value) ? Number(value) : value;
}

const isSafe = (value: bigint): boolean =>
  value >= BigInt(Number.MIN_SAFE_INTEGER) && value <= BigInt(Number.MAX_SAFE_INTEGER);

function numberType(cursor: Cursor, type: number): NumberType {
  const found = numberTypes[type];
  if (found) return found;
  throw cursor.error(`there is no metadata type ${type}, only 0 to 12`, undefined, cursor.position() - 4);
}

function readBoolean(cursor: Cursor): boolean {
  const value = cursor.view(1, "the value").getUint8(0);
  if (value > 1) throw cursor.error(`a boolean is ${value}, neither 0 nor 1`, undefined, cursor.position() - 1);
  return value === 1;
}

function readArray(cursor: Cursor, depth: number): GgufArray {
  if (depth === deepest) throw cursor.error(`arrays lie more than ${deepest} deep in each other`);
  const type = cursor.uint32("the type of the array's items");
  const length = (width: number) => cursor.count("the array's length", width);
  if (type === stringType) return times(cursor, length(8), () => cursor.string("an item of the array"));
  if (type === arrayType) return times(cursor, length(12), () => readArray(cursor, depth + 1));
  if (type === boolType) return times(cursor, length(1), () => readBoolean(cursor));
  return readNumbers(cursor, numberType(cursor, type), length);
}

function times<T>(cursor: Cursor, count: number, read: () => T): T[] {
  if (count > mostItems) throw cursor.error(`an array holds ${count} items, more than the ${mostItems} allowed`);
  const items: T[] = [];
  for (let i = 0; i < count; i++) items.push(read());
  return items;
}

function readNumbers(cursor: Cursor, { width, array: ArrayOf }: NumberType, length: (width: number) => number) {
  const bytes = length(width) * width;
  const buffer = new ArrayBuffer(bytes);
  cursor.fill(new Uint8Array(buffer), "the array");
  const numbers = new ArrayOf(buffer);
  const wide = numbers instanceof BigUint64Array || numbers instanceof BigInt64Array;
  return wide && numbers.every(isSafe) ? Float64Array.from(numbers, Number) : numbers;
}

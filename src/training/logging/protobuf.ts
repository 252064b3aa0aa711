/** One field of a protocol-buffers message, encoded. */
export type EncodedField = Uint8Array;

function varint(value: bigint): number[] {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, value);
  for (; rest > 0x7fn; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80);
  return [...bytes, Number(rest)];
}

const key = (field: number, wire: 0 | 1 | 2 | 5) => varint(BigInt((field << 3) | wire));

/** An integer, boolean or enumeration. */
export const integerField = (field: number, value: number): EncodedField =>
  Uint8Array.from([...key(field, 0), ...varint(BigInt(value))]);

export function doubleField(field: number, value: number): EncodedField {
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleLE(value);
  return Buffer.concat([Uint8Array.from(key(field, 1)), bytes]);
}

export function floatField(field: number, value: number): EncodedField {
  const bytes = Buffer.alloc(4);
  bytes.writeFloatLE(value);
  return Buffer.concat([Uint8Array.from(key(field, 5)), bytes]);
}

/** A text, or the encoded fields of a message within. */
export function nestedField(field: number, value: string | readonly EncodedField[]): EncodedField {
  const body = typeof value === "string" ? Buffer.from(value) : Buffer.concat(value);
  return Buffer.concat([Uint8Array.from([...key(field, 2), ...varint(BigInt(body.length))]), body]);
}

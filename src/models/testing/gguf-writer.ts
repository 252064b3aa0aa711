/** Types of metadata values by their number in the format; `[type]` is an array of it. */
const valueTypes = {
  uint8: 0,
  int8: 1,
  uint16: 2,
  int16: 3,
  uint32: 4,
  int32: 5,
  float32: 6,
  bool: 7,
  string: 8,
  array: 9,
  uint64: 10,
  int64: 11,
  float64: 12,
} as const;

export type GgufValueType = Exclude<keyof typeof valueTypes, "array"> | readonly [GgufValueType];

/** Each lawful GGUF file, and many unlawful ones: what is not given is filled in as the format wants it. */
export interface GgufContents {
  readonly magic?: string;
  readonly version?: number;
  /** As the head declares them, whatever follows. */
  readonly entryCount?: bigint;
  readonly tensorCount?: bigint;
  readonly metadata?: readonly (readonly [key: string, type: GgufValueType, value: unknown])[];
  /** Of the data; metadata do not follow from it. */
  readonly alignment?: number;
  readonly tensors?: readonly {
    readonly name: string;
    /** ggml's number of the type. */
    readonly type: number;
    /** Row-major. */
    readonly shape: readonly (number | bigint)[];
    readonly data: Uint8Array;
    /** From the start of the data section. */
    readonly offset?: bigint;
  }[];
}

const uint32 = (value: number) => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
};
const uint64 = (value: number | bigint) => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
};
const string = (text: string) => Buffer.concat([uint64(Buffer.byteLength(text)), Buffer.from(text)]);
const padding = (length: number, alignment: number) => Buffer.alloc((alignment - (length % alignment)) % alignment);

const typeNumber = (type: GgufValueType): number => (typeof type === "string" ? valueTypes[type] : valueTypes.array);

const numberArrays = {
  uint8: Uint8Array,
  int8: Int8Array,
  uint16: Uint16Array,
  int16: Int16Array,
  uint32: Uint32Array,
  int32: Int32Array,
  float32: Float32Array,
  float64: Float64Array,
};

function valueBytes(type: GgufValueType, value: unknown): Buffer {
  if (typeof type !== "string") {
    const items = value as readonly unknown[];
    return Buffer.concat([
      uint32(typeNumber(type[0])),
      uint64(items.length),
      ...items.map((item) => valueBytes(type[0], item)),
    ]);
  }
  if (type === "string") return string(value as string);
  if (type === "bool") return Buffer.from([value === true ? 1 : Number(value)]);
  if (type === "uint64") return Buffer.from(BigUint64Array.of(BigInt(value as bigint)).buffer);
  if (type === "int64") return Buffer.from(BigInt64Array.of(BigInt(value as bigint)).buffer);
  return Buffer.from(numberArrays[type].of(value as number).buffer);
}

/** The bytes of a GGUF file, for tests. */
export function ggufFile(contents: GgufContents): Uint8Array {
  const { metadata = [], tensors = [], alignment = 32 } = contents;
  const data: Buffer[] = [];
  let end = 0;
  const infos = tensors.map(({ name, type, shape, data: bytes, offset = BigInt(end) }) => {
    data.push(Buffer.concat([bytes, padding(bytes.length, alignment)]));
    end += data.at(-1)!.length;
    const dimensions = [...shape].reverse().map(uint64);
    return Buffer.concat([string(name), uint32(shape.length), ...dimensions, uint32(type), uint64(offset)]);
  });
  const head = Buffer.concat([
    Buffer.from(contents.magic ?? "GGUF"),
    uint32(contents.version ?? 3),
    uint64(contents.tensorCount ?? tensors.length),
    uint64(contents.entryCount ?? metadata.length),
    ...metadata.map(([key, type, value]) =>
      Buffer.concat([string(key), uint32(typeNumber(type)), valueBytes(type, value)]),
    ),
    ...infos,
  ]);
  return Buffer.concat([head, padding(head.length, alignment), ...data]);
}

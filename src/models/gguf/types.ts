/** How the elements of a tensor lie in the file: `elements` of them in a block of `bytes`. */
interface BlockLayout {
  readonly elements: number;
  readonly bytes: number;
}

const layout = (elements: number, bytes: number): BlockLayout => ({ elements, bytes });

/** Tensor types that Amalgam reads, under ggml's names. A super-block of the K types holds 256 elements. */
export const tensorTypes = {
  F32: layout(1, 4),
  F16: layout(1, 2),
  BF16: layout(1, 2),
  F64: layout(1, 8),
  I8: layout(1, 1),
  I16: layout(1, 2),
  I32: layout(1, 4),
  I64: layout(1, 8),
  Q4_0: layout(32, 18),
  Q4_1: layout(32, 20),
  Q5_0: layout(32, 22),
  Q5_1: layout(32, 24),
  Q8_0: layout(32, 34),
  Q2_K: layout(256, 84),
  Q3_K: layout(256, 110),
  Q4_K: layout(256, 144),
  Q5_K: layout(256, 176),
  Q6_K: layout(256, 210),
  IQ4_NL: layout(32, 18),
  IQ4_XS: layout(256, 136),
} as const;

export type TensorType = keyof typeof tensorTypes;

/** Names by ggml's numbers, those that Amalgam does not read included: an error names them. */
const names: Readonly<Record<number, string>> = {
  0: "F32",
  1: "F16",
  2: "Q4_0",
  3: "Q4_1",
  6: "Q5_0",
  7: "Q5_1",
  8: "Q8_0",
  9: "Q8_1",
  10: "Q2_K",
  11: "Q3_K",
  12: "Q4_K",
  13: "Q5_K",
  14: "Q6_K",
  15: "Q8_K",
  16: "IQ2_XXS",
  17: "IQ2_XS",
  18: "IQ3_XXS",
  19: "IQ1_S",
  20: "IQ4_NL",
  21: "IQ3_S",
  22: "IQ2_S",
  23: "IQ4_XS",
  24: "I8",
  25: "I16",
  26: "I32",
  27: "I64",
  28: "F64",
  29: "IQ1_M",
  30: "BF16",
  34: "TQ1_0",
  35: "TQ2_0",
  39: "MXFP4",
  40: "NVFP4",
  41: "Q1_0",
};

/** Name of ggml's type `id`, also of one that is not read; undefined for a number that ggml does not use. */
export const typeName = (id: number): string | undefined => names[id];

export const isTensorType = (name: string | undefined): name is TensorType =>
  name !== undefined && Object.hasOwn(tensorTypes, name);

/** ggml's number of a type. */
export const typeId = (type: TensorType): number => Number(Object.keys(names).find((id) => names[Number(id)] === type));

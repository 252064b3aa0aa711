/** Element types, named as in PyTorch. */
export const dtypes = {
  uint8: 1,
  int8: 1,
  int16: 2,
  int32: 4,
  int64: 8,
  float16: 2,
  float32: 4,
  float64: 8,
  bool: 1,
  bfloat16: 2,
  complex64: 8,
  complex128: 16,
  float8_e4m3fn: 1,
  float8_e5m2: 1,
} as const;

export type DType = keyof typeof dtypes;

/** Bytes of one element. */
export const bytesOf = (dtype: DType): number => dtypes[dtype];

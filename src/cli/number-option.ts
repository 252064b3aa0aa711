import { UsageError } from "./usage-error.ts";

/** The number that an option names. Throws UsageError for any other text. */
export function numberOption(
  name: string,
  text: string | undefined,
  otherwise: number,
  valid: (value: number) => boolean,
): number {
  if (text === undefined) return otherwise;
  const value = text.trim() === "" ? Number.NaN : Number(text);
  if (Number.isFinite(value) && valid(value)) return value;
  throw new UsageError(`--${name} ${text}: not a number that it can be`);
}

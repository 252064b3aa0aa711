/** The headers of an answer, their names in lower case. */
export type HeaderValues = Readonly<Record<string, string | string[] | undefined>>;

/** A header that is one decimal number. */
export function numberOf(value: HeaderValues[string]): number | undefined {
  return typeof value === "string" && /^\s*\d+(\.\d+)?\s*$/.test(value) ? Number(value) : undefined;
}

/** The forms in which a data file is written. */
export const rowFormNames = [
  "preferences",
  "texts",
  "binarized",
  "quadruples",
  "scored",
  "completions",
  "messages",
  "unpaired",
] as const;

export type RowFormName = (typeof rowFormNames)[number];

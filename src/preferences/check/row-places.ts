import { relative } from "node:path";
import { placeWord } from "../../data/index.ts";

/** Gives each row of several files a number of its own, which stays small enough for a table of numbers. */
export interface RowPlaces {
  /** The names of the files below the folder; undefined where one file was named. */
  readonly files?: readonly string[];
  /** Of a row, whose files come one after the other. */
  number(file: string, line: number): number;
  /** Where the row of a number stands. */
  of(row: number): { readonly file?: string; readonly line: number };
  /** The same in words. */
  words(row: number): string;
}

/** The rows of what is named as `path`, a file or a folder that has these files. */
export function rowPlaces(path: string, files: readonly string[]): RowPlaces {
  const isFolder = files[0] !== path;
  const nameOf = (file: string) => relative(path, file);
  /** Files with the number before that of their first line. */
  const begun: { readonly file: string; readonly before: number }[] = [];
  let last = 0;
  const startOf = (row: number) => begun.findLast(({ before }) => before < row) ?? { file: path, before: 0 };
  return {
    ...(isFolder ? { files: files.map(nameOf) } : {}),
    number(file, line) {
      if (begun.at(-1)?.file !== file) begun.push({ file, before: last });
      const row = begun.at(-1)!.before + line;
      last = Math.max(last, row);
      return row;
    },
    of(row) {
      const { file, before } = startOf(row);
      return { ...(isFolder ? { file: nameOf(file) } : {}), line: row - before };
    },
    words(row) {
      const { file, before } = startOf(row);
      return `${placeWord(file)} ${row - before}${isFolder ? ` of ${nameOf(file)}` : ""}`;
    },
  };
}

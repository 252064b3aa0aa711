import { readFileSync } from "node:fs";
import { join } from "node:path";
import {
  type BenchmarkResult,
  type Leaderboard,
  type LeaderboardOptions,
  leaderboardOf,
  leaderboardSchema,
} from "../../../evaluation/index.ts";
import {
  AmalgamError,
  DataError,
  EnvironmentError,
  issueWords,
  makeFolder,
  replaceFile,
} from "../../../schema/index.ts";
import { explainDisk } from "../../disk.ts";
import { leaderboardCsv } from "./csv.ts";
import { leaderboardHtml } from "./html.ts";
import { leaderboardMarkdown } from "./markdown.ts";

export { mainSection } from "./html.ts";
export {
  comparisonWords,
  figureText,
  mainTable,
  notOfficial,
  notOfficialWords,
  overallTable,
  signedText,
  standingText,
} from "./words.ts";

/** Where the tables of an evaluation are. */
export const leaderboardPaths = (folder: string) => ({
  markdown: join(folder, "leaderboard.md"),
  json: join(folder, "leaderboard.json"),
  csv: join(folder, "leaderboard.csv"),
  html: join(folder, "leaderboard.html"),
});

/**
 * Computes the tables of an evaluation and writes them into its folder in four forms, each as a whole or not at all. The same results
 * give the same files.
 *
 * @throws DataError where `focus` names a model that is not there, EnvironmentError where the files can't be written
 */
export function writeLeaderboard(
  folder: string,
  results: readonly BenchmarkResult[],
  options: LeaderboardOptions,
): Leaderboard {
  const board = leaderboardOf(results, options);
  const paths = leaderboardPaths(folder);
  const texts = [
    [paths.json, `${JSON.stringify(board)}\n`],
    [paths.csv, leaderboardCsv(board)],
    [paths.markdown, leaderboardMarkdown(board)],
    [paths.html, leaderboardHtml(board)],
  ] as const;
  try {
    makeFolder(folder);
    for (const [file, text] of texts) replaceFile(file, text);
  } catch (error) {
    const told = explainDisk(error, folder);
    if (told instanceof AmalgamError || !(error instanceof Error)) throw told;
    throw new EnvironmentError(`the leaderboard can't be written: ${error.message}`, { file: folder, cause: error });
  }
  return board;
}

/**
 * Reads the `leaderboard.json` of an evaluation's folder.
 *
 * @throws DataError where there is none, or it is none of `writeLeaderboard`
 */
export function readLeaderboard(folder: string): Leaderboard {
  const { json: file } = leaderboardPaths(folder);
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(file, "utf8"));
  } catch (cause) {
    throw new DataError(`the leaderboard can't be read: ${(cause as Error).message}`, {
      file,
      cause,
      hint: "Write it again: amalgam evaluate.",
    });
  }
  const parsed = leaderboardSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0]!;
  throw new DataError(issueWords(issue, value).message, { file, field: issue.path.join("."), cause: parsed.error });
}

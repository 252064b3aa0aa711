import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import type { Leaderboard } from "../../evaluation/index.ts";
import { leaderboardPaths, readLeaderboard } from "../evaluate/tables/index.ts";
import { runSuites } from "../run.ts";

/** The leaderboard of a suite that a run was measured by. */
export interface SuiteBoard {
  readonly name: string;
  readonly board: Leaderboard;
  /** Its own page, as the report reaches it. */
  readonly page: string;
}

/** The leaderboards in a run folder, by name. Throws DataError for one of another form. */
export function suiteBoards(folder: string): SuiteBoard[] {
  const root = runSuites(folder);
  if (!existsSync(root)) return [];
  return readdirSync(root)
    .filter((name) => existsSync(leaderboardPaths(join(root, name)).json))
    .sort()
    .map((name) => ({ name, board: readLeaderboard(join(root, name)), page: `evaluations/${name}/leaderboard.html` }));
}

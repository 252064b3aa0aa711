import { leaderboard } from "../pipeline/index.ts";
import type { Arguments } from "./arguments.ts";
import type { Surroundings } from "./execute.ts";
import { leaderboardText } from "./leaderboard-text.ts";
import { UsageError } from "./usage-error.ts";

/** `amalgam leaderboard ANNOTATIONS...`. */
export async function leaderboardCommand({ board, json }: Arguments, { print }: Surroundings): Promise<void> {
  const { files, gamed, foldOrder } = board!;
  if (files.length === 0) throw new UsageError("name the files of annotations: amalgam leaderboard annotations.json");
  const rows = await leaderboard(files, gamed, foldOrder);
  print(json ? JSON.stringify(rows, null, 2) : leaderboardText(rows));
}

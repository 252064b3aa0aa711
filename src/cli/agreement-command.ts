import { statSync } from "node:fs";
import { agreementFiles, agreementText, rewardAgreement } from "../pipeline/index.ts";
import type { Arguments } from "./arguments.ts";
import type { Surroundings } from "./execute.ts";
import { UsageError } from "./usage-error.ts";

const usage = "amalgam agreement FILE FOLDER --recipe RECIPE";

/** `amalgam agreement FILE FOLDER --recipe RECIPE`. */
export async function agreementCommand(given: Arguments, { signal, printer, print }: Surroundings): Promise<void> {
  const { target: file, destination: folder, split, recipe, set, offline, json } = given;
  if (file === undefined || folder === undefined)
    throw new UsageError(`name the file with graded responses, and a folder for what comes out: ${usage}`);
  if (recipe === undefined) throw new UsageError(`name the recipe whose rewards are meant: ${usage}`);
  if (statSync(folder, { throwIfNoEntry: false })?.isFile() === true)
    throw new UsageError(`${folder} is a file, and the second name is a folder's: ${usage}`);
  const report = await rewardAgreement({
    file,
    split,
    folder,
    recipeFile: recipe,
    overrides: set,
    signal,
    listener: printer,
    offline,
  });
  printer.clear();
  if (json) return print(JSON.stringify(report, null, 2));
  const { json: figures, markdown } = agreementFiles(folder);
  print(`${agreementText(report)}\n\nThis is in ${markdown}, and all figures in ${figures}.`);
}

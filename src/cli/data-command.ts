import { checkFile, convertFile } from "../pipeline/index.ts";
import type { Arguments } from "./arguments.ts";
import { convertedText, dataCheckText } from "./data-text.ts";
import type { ExitCode, Surroundings } from "./execute.ts";
import { UsageError } from "./usage-error.ts";

/** `amalgam data check FILE` and `amalgam data convert FILE NEW`. */
export async function dataCommand(given: Arguments, around: Surroundings): Promise<ExitCode> {
  const { signal, printer, print } = around;
  const { target: file, destination, json } = given;
  const data = given.data!;
  if (data.action === "convert") {
    if (file === undefined || destination === undefined)
      throw new UsageError("name the file and the new one: amalgam data convert FILE NEW --to FORM");
    const { to, split, lossy } = data;
    const made = await convertFile(file, destination, { to, split, lossy, signal, listener: printer });
    printer.clear();
    print(json ? JSON.stringify(made, null, 2) : convertedText(made, destination, to));
    return 0;
  }
  if (file === undefined) throw new UsageError("name the file or folder to check: amalgam data check FILE");
  const { action: _, ...options } = data;
  const found = await checkFile(file, { ...options, signal, listener: printer });
  printer.clear();
  print(json ? JSON.stringify(found, null, 2) : dataCheckText(found));
  return Object.keys(found.problems).length > 0 ? 1 : 0;
}

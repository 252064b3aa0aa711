import { join } from "node:path";

/** A module of the product for children: as built, joined into few files by the tests' set-up (scripts/test-bundle.ts). */
export function productFile(path: string): string {
  const folder = process.env.AMALGAM_TEST_PRODUCT;
  if (folder === undefined) throw new Error("the product is tried as built: npm run build");
  return join(folder, path);
}

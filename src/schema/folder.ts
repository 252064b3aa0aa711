import { existsSync, mkdirSync, statSync } from "node:fs";
import { dirname } from "node:path";

/**
 * Makes a folder, and those above it that are missing; one that is there stays. As Node's own `recursive`, which never
 * returns where the system lets nobody make a folder and says that there is none, as below /proc.
 *
 * @throws the system's error when it can't be made.
 */
export function makeFolder(path: string): void {
  try {
    mkdirSync(path);
  } catch (error) {
    if (statSync(path, { throwIfNoEntry: false })?.isDirectory()) return;
    const above = dirname(path);
    if ((error as NodeJS.ErrnoException).code !== "ENOENT" || above === path || existsSync(above)) throw error;
    makeFolder(above);
    makeFolder(path);
  }
}

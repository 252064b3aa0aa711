import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";

/**
 * Mounts a file system of so many MiB, until the tests of the file that asks for it are over, and tells where it is;
 * undefined where this process may not mount one.
 */
export function smallDisk(mebibytes: number): string | undefined {
  if (process.platform !== "linux") return undefined;
  const disk = mkdtempSync(join(tmpdir(), "amalgam-disk-"));
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", `size=${mebibytes}m`, "amalgam-test", disk], { stdio: "ignore" });
  } catch {
    rmSync(disk, { recursive: true });
    return undefined;
  }
  afterAll(() => {
    // Lazily: libsql may hold a file a little longer.
    execFileSync("umount", ["-l", disk]);
    rmSync(disk, { recursive: true, force: true });
  });
  return disk;
}

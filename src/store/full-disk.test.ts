import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { LedgerError } from "../schema/index.ts";
import { openLedger } from "./index.ts";

const scratch = mkdtempSync(join(tmpdir(), "amalgam-full-ledger-"));
const disk = join(scratch, "disk");

/** A file system of 1 MiB, where this process may mount one. */
function mounted(): boolean {
  mkdirSync(disk);
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=1m", "amalgam-test", disk], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}
const hasDisk = process.platform === "linux" && mounted();
afterAll(() => {
  // Lazily: libsql may hold the file a little longer.
  if (hasDisk) execFileSync("umount", ["-l", disk]);
  rmSync(scratch, { recursive: true, force: true });
});

test.runIf(hasDisk)(
  "a full disk is told where something is lost, and not again when the ledger is closed",
  async () => {
    const folder = join(disk, "run");
    const ledger = await openLedger(folder);
    await ledger.meta.set("kept", "before");
    const { bavail, bsize } = statfsSync(disk);
    writeFileSync(join(disk, "other"), Buffer.alloc(bavail * bsize));
    const lost = ledger.meta.set("lost", "x".repeat(100_000));
    await expect(lost).rejects.toThrow(LedgerError);
    await expect(lost).rejects.toThrow(/disk/);
    await ledger.close();
    rmSync(join(disk, "other"));
    const again = await openLedger(folder);
    expect([await again.meta.get("kept"), await again.meta.get("lost")]).toEqual(["before", undefined]);
    await again.close();
  },
);

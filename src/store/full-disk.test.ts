import { copyFileSync, mkdirSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { LedgerError } from "../schema/index.ts";
import { smallDisk } from "../schema/testing/small-disk.ts";
import { openLedger, readLedger } from "./index.ts";

const disk = smallDisk(1);

test.runIf(disk !== undefined)(
  "a full disk is told where something is lost, and not again when the ledger is closed",
  async () => {
    const folder = join(disk!, "run");
    const ledger = await openLedger(folder);
    await ledger.meta.set("kept", "before");
    const { bavail, bsize } = statfsSync(disk!);
    writeFileSync(join(disk!, "other"), Buffer.alloc(bavail * bsize));
    const lost = ledger.meta.set("lost", "x".repeat(100_000));
    await expect(lost).rejects.toThrow(LedgerError);
    await expect(lost).rejects.toThrow(/disk/);
    await ledger.close();
    rmSync(join(disk!, "other"));
    const again = await openLedger(folder);
    expect([await again.meta.get("kept"), await again.meta.get("lost")]).toEqual(["before", undefined]);
    await again.close();

    // Who comes to a full disk is told the same, and may look: at a copy, since libsql may hold the file itself a little longer.
    const copy = join(disk!, "copy");
    mkdirSync(copy);
    for (const name of ["run.db", "run.lock"]) copyFileSync(join(folder, name), join(copy, name));
    writeFileSync(join(disk!, "rest"), Buffer.alloc(statfsSync(disk!).bavail * bsize));
    await expect(openLedger(copy)).rejects.toThrow(/the disk is full/);
    const reader = await readLedger(copy);
    expect(await reader.meta.get("kept")).toBe("before");
    expect(await reader.writer()).toBeUndefined();
    await reader.close();
  },
);

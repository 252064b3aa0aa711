import { rmSync, statfsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { LedgerError } from "../schema/index.ts";
import { smallDisk } from "../schema/testing/small-disk.ts";
import { openLedger } from "./index.ts";

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
  },
);

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Ledger, openLedger } from "../index.ts";

/** An empty ledger in a folder of its own: `beforeEach(async () => { ledger = await scratchLedger(); })`. */
export const scratchLedger = (): Promise<Ledger> => openLedger(mkdtempSync(join(tmpdir(), "ledger-")));

/** Closes a ledger, closed already or not, and removes its folder. */
export async function discard(ledger: Ledger): Promise<void> {
  await ledger.close();
  rmSync(ledger.folder, { recursive: true, force: true });
}

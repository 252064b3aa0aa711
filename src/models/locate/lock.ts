import { mkdir, readdir, readFile, rm, stat, utimes, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { basename, dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { errorCode } from "./disk.ts";

/** `birth` tells a process from an earlier one of the same id, as after the restart of a container; "" where unknown. */
const ownerSchema = z.object({ host: z.string(), pid: z.int(), birth: z.string() });

/** The holder renews its file this often; a file this old belongs to nobody, even where its process can't be asked. */
const heartbeatMs = 5_000;
const staleMs = 60_000;
const pollMs = 100;

/**
 * Runs `work` while no other process (nor another call in this one) holds the same lock, and gives the lock back
 * when it ends; the lock of a process that was killed is free at once.
 *
 * The lock is a row of files `<path>.<n>.lock`: the highest n holds it, if its process is alive. The next holder is
 * whoever first creates n + 1, which the file system decides; a file is removed only when a higher one stands, so
 * that two processes never take over from the same dead one.
 */
export async function withLock<T>(path: string, work: () => Promise<T>, onWait: () => void = () => {}): Promise<T> {
  const folder = dirname(path);
  const stem = `${basename(path)}.`;
  await mkdir(folder, { recursive: true });
  const file = (turn: number): string => join(folder, `${stem}${turn}.lock`);

  const turn = await takeTurn(folder, stem, file, onWait);
  let renewed: Promise<void> = Promise.resolve();
  const heartbeat = setInterval(() => {
    const now = new Date();
    renewed = utimes(file(turn), now, now).catch(() => {});
  }, heartbeatMs);
  heartbeat.unref();
  try {
    return await work();
  } finally {
    clearInterval(heartbeat);
    await renewed;
    await giveBack(file(turn));
  }
}

/** A file from 1970 is nobody's: unlike writing into it, setting its time needs no space on the disk. */
async function giveBack(file: string): Promise<void> {
  await utimes(file, 0, 0).catch((error: unknown) => {
    if (errorCode(error) !== "ENOENT") throw error;
  });
}

async function takeTurn(
  folder: string,
  stem: string,
  file: (turn: number) => string,
  onWait: () => void,
): Promise<number> {
  for (let told = false; ; ) {
    const turns = await listTurns(folder, stem);
    const highest = turns.at(-1) ?? 0;
    if (highest > 0 && (await isHeld(file(highest)))) {
      if (!told) onWait();
      told = true;
      await sleep(pollMs);
      continue;
    }
    if (!(await createOnce(file(highest + 1)))) continue;
    const after = await listTurns(folder, stem);
    if (after.at(-1) !== highest + 1) {
      await rm(file(highest + 1), { force: true });
      continue;
    }
    for (const older of after.slice(0, -1)) await rm(file(older), { force: true });
    return highest + 1;
  }
}

async function listTurns(folder: string, stem: string): Promise<number[]> {
  const turns = [];
  for (const name of await readdir(folder)) {
    if (!name.startsWith(stem) || !name.endsWith(".lock")) continue;
    const middle = name.slice(stem.length, -".lock".length);
    if (/^[1-9]\d*$/.test(middle)) turns.push(Number(middle));
  }
  return turns.sort((a, b) => a - b);
}

async function isHeld(file: string): Promise<boolean> {
  try {
    const text = await readFile(file, "utf8");
    if (Date.now() - (await stat(file)).mtimeMs > staleMs) return false;
    const owner = ownerSchema.safeParse(text === "" ? undefined : JSON.parse(text));
    // Without an owner it was created this moment, or its process died between creating and writing.
    if (!owner.success) return true;
    return owner.data.host !== hostname() || (await isAlive(owner.data.pid, owner.data.birth));
  } catch (error) {
    if (errorCode(error) === "ENOENT") return true;
    throw error;
  }
}

async function isAlive(pid: number, birth: string): Promise<boolean> {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if (errorCode(error) === "ESRCH") return false;
  }
  const present = await birthOf(pid);
  return birth === "" || present === "" || birth === present;
}

/** When a process started, in the kernel's own count (Linux: field 22 of /proc/PID/stat); "" elsewhere. */
async function birthOf(pid: number): Promise<string> {
  const status = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "");
  const fields = status.slice(status.lastIndexOf(")") + 2).split(" ");
  return fields[19] ?? "";
}

async function createOnce(file: string): Promise<boolean> {
  const owner = JSON.stringify({ host: hostname(), pid: process.pid, birth: await birthOf(process.pid) });
  try {
    await writeFile(file, owner, { flag: "wx" });
    return true;
  } catch (error) {
    if (errorCode(error) === "EEXIST") return false;
    await giveBack(file);
    throw error;
  }
}

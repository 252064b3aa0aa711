import { readdirSync, readFileSync } from "node:fs";

const read = (path: string): string => {
  try {
    return readFileSync(path, "latin1");
  } catch {
    // The process has ended meanwhile.
    return "";
  }
};

const folder = (path: string): string[] => {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
};

/** A process of this machine and all that came of it, those included whose parents have ended inside the sandbox. */
function descendants(pid: string): string[] {
  const children = folder(`/proc/${pid}/task`).flatMap((task) =>
    read(`/proc/${pid}/task/${task}/children`)
      .split(" ")
      .filter((child) => child !== ""),
  );
  return [pid, ...children.flatMap(descendants)];
}

const kilobytes = (text: string, field: string): number =>
  1024 * Number(new RegExp(`^${field}:\\s*(\\d+) kB`, "m").exec(text)?.[1] ?? 0);

/** Whether a process and its descendants hold more memory than this, pages that several share counted once. */
export function holdsMoreThan(pid: number, bytes: number): boolean {
  const pids = descendants(String(pid));
  const total = (of: (pid: string) => number): number => pids.reduce((sum, one) => sum + of(one), 0);
  const atMost = total((one) => {
    const status = read(`/proc/${one}/status`);
    return kilobytes(status, "RssAnon") + kilobytes(status, "RssShmem");
  });
  if (atMost <= bytes) return false;
  // Exact, and slower: after a fork both have the same pages.
  const exact = total((one) => {
    const parts = read(`/proc/${one}/smaps_rollup`);
    return kilobytes(parts, "Pss_Anon") + kilobytes(parts, "Pss_Shmem");
  });
  return exact === 0 || exact > bytes;
}

/** How long a process is waited for that is to stop, in milliseconds; a busy machine lets it wait. */
const stopMs = 1000;
const pause = new Int32Array(new SharedArrayBuffer(4));

const isAtWork = (pid: number): boolean => /^\d+ \(.*\) [RSD] /s.test(read(`/proc/${pid}/stat`));

/**
 * Ends a process with all that came of it. It is stopped first, so that it starts nothing while its descendants are looked for: bwrap's own
 * `--die-with-parent` leaves a sandbox alive that is only being built when bwrap is killed.
 */
export function endAll(pid: number): void {
  send(pid, "SIGSTOP");
  for (let waited = 0; waited < stopMs && isAtWork(pid); waited += 1) Atomics.wait(pause, 0, 0, 1);
  for (const one of descendants(String(pid)).reverse()) send(Number(one), "SIGKILL");
}

function send(pid: number, signal: "SIGSTOP" | "SIGKILL"): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    // It has ended meanwhile.
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { freeDeviceMemory } from "../torch/index.ts";

/** Places where Linux tells of memory; `root` is "/" but in tests. */
function reader(root: string): (path: string) => string | undefined {
  return (path) => {
    try {
      return readFileSync(join(root, path), "utf8");
    } catch {
      return undefined;
    }
  };
}

type Read = ReturnType<typeof reader>;

const numberIn = (text: string | undefined): number | undefined => {
  const value = text === undefined || text.trim() === "" ? Number.NaN : Number(text);
  return Number.isFinite(value) ? value : undefined;
};

const fieldOf = (text: string | undefined, name: string): number | undefined =>
  numberIn(text?.match(new RegExp(`^${name}:?\\s+(\\d+)`, "m"))?.[1]);

/** Where the control groups of this process lie, the outermost last: /proc/self/cgroup has a line a hierarchy. */
function groupFolders(read: Read, version: 1 | 2): string[] {
  const lines = (read("proc/self/cgroup") ?? "").split("\n").map((line) => line.split(":"));
  const own = lines.find(([, controllers]) =>
    version === 2 ? controllers === "" : controllers?.split(",").includes("memory"),
  );
  if (own === undefined) return [];
  const base = version === 2 ? "sys/fs/cgroup" : "sys/fs/cgroup/memory";
  const parts = own.slice(2).join(":").split("/").filter(Boolean);
  return [...parts.keys(), parts.length].reverse().map((count) => join(base, ...parts.slice(0, count)));
}

/** What a group leaves of its limit; the file cache that it holds counts as free, since the system takes it back. */
function roomInGroup(read: Read, folder: string, version: 1 | 2): number | undefined {
  const [limitFile, usedFile, cacheField] =
    version === 2
      ? ["memory.max", "memory.current", "inactive_file"]
      : ["memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"];
  const limit = numberIn(read(join(folder, limitFile)));
  const used = numberIn(read(join(folder, usedFile)));
  if (limit === undefined || used === undefined) return undefined;
  return Math.max(0, limit - used + (fieldOf(read(join(folder, "memory.stat")), cacheField) ?? 0));
}

/**
 * Bytes of memory that this process may still take: what the machine has (`MemAvailable`), or what the process's control groups
 * leave where that is less (version 1 and 2, every group up to the root; containers are such groups), or a limit of its
 * address space (`ulimit -v`). On other systems what Node.js says.
 */
export function availableMemory(root = "/"): number {
  const read = reader(root);
  const machine = fieldOf(read("proc/meminfo"), "MemAvailable");
  if (machine === undefined) return process.availableMemory();
  const groups = ([1, 2] as const).flatMap((version) =>
    groupFolders(read, version).flatMap((folder) => roomInGroup(read, folder, version) ?? []),
  );
  const addressSpace = numberIn(read("proc/self/limits")?.match(/^Max address space\s+(\d+)/m)?.[1]);
  const held = fieldOf(read("proc/self/status"), "VmSize");
  const room = addressSpace === undefined || held === undefined ? [] : [Math.max(0, addressSpace - held * 1024)];
  return Math.min(machine * 1024, ...groups, ...room);
}

/** Bytes of memory that may still be taken on a device: of the machine for the processor (`availableMemory`), else of its own. */
export const freeMemory = (device: string): number => (device === "cpu" ? availableMemory() : freeDeviceMemory(device));

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { availableMemory } from "./available-memory.ts";

const roots: string[] = [];
afterAll(() => {
  for (const root of roots) rmSync(root, { recursive: true, force: true });
});

/** A tree of files as Linux shows them. */
function system(files: Readonly<Record<string, string | number>>): string {
  const root = mkdtempSync(join(tmpdir(), "amalgam-system-"));
  roots.push(root);
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), `${text}\n`);
  }
  return root;
}

const GiB = 2 ** 30;
const meminfo = {
  "proc/meminfo": "MemTotal:       16777216 kB\nMemFree:         1000 kB\nMemAvailable:    8388608 kB",
};

describe("memory that may still be taken", () => {
  test("is what the machine has available, where nothing limits it", () => {
    expect(availableMemory(system(meminfo))).toBe(8 * GiB);
    const unlimited = {
      ...meminfo,
      "proc/self/cgroup": "0::/user.slice/run.scope",
      "sys/fs/cgroup/user.slice/run.scope/memory.max": "max",
      "sys/fs/cgroup/user.slice/run.scope/memory.current": GiB,
      "proc/self/limits": "Max address space         unlimited            unlimited            bytes",
    };
    expect(availableMemory(system(unlimited))).toBe(8 * GiB);
  });

  test("is what a group of version 2 leaves, its file cache counted as free; an outer group may leave less", () => {
    const inner = {
      ...meminfo,
      "proc/self/cgroup": "0::/docker/abc",
      "sys/fs/cgroup/docker/abc/memory.max": 4 * GiB,
      "sys/fs/cgroup/docker/abc/memory.current": 3 * GiB,
      "sys/fs/cgroup/docker/abc/memory.stat": `anon 1\ninactive_file ${2 * GiB}\nactive_file 5`,
    };
    expect(availableMemory(system(inner))).toBe(3 * GiB);
    const outer = {
      ...inner,
      "sys/fs/cgroup/docker/memory.max": 6 * GiB,
      "sys/fs/cgroup/docker/memory.current": 5.5 * GiB,
    };
    expect(availableMemory(system(outer))).toBe(0.5 * GiB);
  });

  test("is what a group of version 1 leaves, and in a container what its root leaves", () => {
    const given = {
      ...meminfo,
      "proc/self/cgroup": "4:memory:/docker/abc\n2:cpu,cpuacct:/docker/abc\n0::/",
      "sys/fs/cgroup/memory/memory.limit_in_bytes": 2 * GiB,
      "sys/fs/cgroup/memory/memory.usage_in_bytes": 1.5 * GiB,
      "sys/fs/cgroup/memory/memory.stat": `cache 7\ntotal_inactive_file ${0.25 * GiB}`,
    };
    expect(availableMemory(system(given))).toBe(0.75 * GiB);
    expect(availableMemory(system({ ...given, "sys/fs/cgroup/memory/memory.usage_in_bytes": 9 * GiB }))).toBe(0);
  });

  test("is what a limit of the address space leaves", () => {
    const given = {
      ...meminfo,
      "proc/self/limits": `Limit  Soft  Hard\nMax address space         ${3 * GiB}           unlimited            bytes`,
      "proc/self/status": `Name:\tnode\nVmSize:\t ${GiB / 1024} kB`,
    };
    expect(availableMemory(system(given))).toBe(2 * GiB);
  });

  test("is never more than this machine has", () => {
    expect(availableMemory()).toBeGreaterThan(0);
    if (process.platform === "linux") {
      const total = Number(/^MemTotal:\s+(\d+)/m.exec(readFileSync("/proc/meminfo", "utf8"))![1]) * 1024;
      expect(availableMemory()).toBeLessThanOrEqual(total);
    }
  });
});

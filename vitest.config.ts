import { readdirSync, readFileSync } from "node:fs";
import { defineConfig } from "vitest/config";

/** What counts or changes something of the whole process: a file that names one of these has a process to itself. */
const ofTheProcess =
  /liveTensors|tensorMemory|memoryUsage|setThreads|machineRates|stubEnv|process\.(env\.\w+ = |env\[|chdir|on\()|\bgc\(|smallDisk/;

const files = readdirSync("src", { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith(".test.ts"))
  .map((file) => `src/${file}`);
const alone = files.filter((file) => ofTheProcess.test(readFileSync(file, "utf8")));

const common = {
  // Of processes, not threads: libtorch keeps one intra-op pool a process.
  pool: "forks",
  maxWorkers: 2,
  testTimeout: 300_000,
  hookTimeout: 600_000,
} as const;

export default defineConfig({
  test: {
    globalSetup: ["scripts/test-setup.ts"],
    projects: [
      // Modules are imported and libtorch is loaded once for all of them: for most files that is longer than their tests.
      { test: { ...common, name: "shared", include: files.filter((file) => !alone.includes(file)), isolate: false } },
      { test: { ...common, name: "alone", include: alone, isolate: true, sequence: { groupOrder: 1 } } },
    ],
  },
});

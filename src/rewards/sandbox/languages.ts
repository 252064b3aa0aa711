import { execFileSync } from "node:child_process";
import { realpathSync } from "node:fs";
import { homedir } from "node:os";
import { dirname } from "node:path";
import { z } from "zod";
import { EnvironmentError } from "../../schema/index.ts";
import { javascriptDriver } from "./javascript-driver.ts";
import { pythonDriver } from "./python-driver.ts";

export const languages = ["python", "javascript"] as const;
export type Language = (typeof languages)[number];

/** How code of a language is run on this machine. */
export interface Interpreter {
  /** The command of a program; `memoryBytes` is the most that it may hold. */
  command(memoryBytes: number): readonly string[];
  /** What of the machine it reads beside the system's own folders. */
  readonly folders: readonly string[];
  /** As a person reads it. */
  readonly version: string;
}

/** Finds the interpreters of this machine. Each throws EnvironmentError where there is none that can be used. */
export const findInterpreter: { readonly [L in Language]: () => Interpreter } = {
  python: findPython,
  javascript: findNode,
};

const pythonFacts = z.object({
  executable: z.string().min(1),
  prefixes: z.array(z.string().min(1)),
  version: z.string(),
});

const askPython = `
import json, sys
print(json.dumps({"executable": sys.executable, "prefixes": [sys.prefix, sys.base_prefix, sys.base_exec_prefix], "version": sys.version.split()[0]}))
`;

/** The `python3` on PATH, with the packages that it has. */
function findPython(): Interpreter {
  let facts: z.infer<typeof pythonFacts>;
  try {
    const told = execFileSync("python3", ["-c", askPython], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
    facts = pythonFacts.parse(JSON.parse(told));
  } catch (error) {
    throw new EnvironmentError("there is no python3 on the PATH that works, and tests in Python need one", {
      hint: "Install Python 3: `apt-get install python3` on Debian and Ubuntu, `dnf install python3` on Fedora.",
      cause: error,
    });
  }
  const { executable, prefixes, version } = facts;
  const folders = [...new Set([...prefixes, dirname(dirname(realpathSync(executable)))])];
  folders.forEach(refuseHome);
  return {
    command: () => [executable, "-s", "-c", pythonDriver],
    folders: outermost(folders),
    version: `Python ${version}`,
  };
}

/** The Node that runs this program. */
function findNode(): Interpreter {
  const executable = realpathSync(process.execPath);
  const heapMegabytes = (bytes: number) => Math.max(16, Math.floor(bytes / 2 / 2 ** 20));
  return {
    command: (memoryBytes) => [
      executable,
      `--max-old-space-size=${heapMegabytes(memoryBytes)}`,
      "--no-warnings",
      "-e",
      javascriptDriver,
    ],
    folders: [executable],
    version: `Node.js ${process.versions.node}`,
  };
}

/** The sandbox shows code nothing of a person's own: not a home folder that happens to hold an interpreter. */
function refuseHome(folder: string): void {
  const home = homedir();
  if (folder !== "/" && folder !== home && !home.startsWith(`${folder}/`)) return;
  throw new EnvironmentError(`python3 has its files in ${folder} itself, which code under test must not see`, {
    hint: "Put another Python first on the PATH, for instance the system's or that of a virtual environment.",
  });
}

const outermost = (folders: readonly string[]): string[] =>
  folders.filter((folder) => !folders.some((other) => other !== folder && folder.startsWith(`${other}/`)));

import { execFileSync } from "node:child_process";
import { accessSync, constants, existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { z } from "zod";
import { EnvironmentError } from "../../schema/index.ts";
import { findInterpreter } from "./languages.ts";
import { mostProcesses, type Tools } from "./launch.ts";
import { type Ending, runProgram } from "./run.ts";
import { systemCallFilter } from "./seccomp.ts";

/** What programs are run with here, once it was seen to hold. */
export interface Sandbox {
  readonly tools: Tools;
  readonly filter: Uint8Array;
  /** As a person reads it. */
  readonly version: string;
}

let probed: Promise<Sandbox> | undefined;

/**
 * Looks, once in a process, whether this machine can keep code in: a program in the sandbox tries what none may be able to do.
 *
 * @throws EnvironmentError what is missing, and what to install or allow
 */
export function sandbox(): Promise<Sandbox> {
  probed ??= probe();
  return probed;
}

const lacking = (what: string, hint: string) =>
  new EnvironmentError(`code can't be run against tests here: ${what}`, {
    field: "rewards",
    hint: `${hint} Code of responses is never run outside of a sandbox.`,
  });

async function probe(): Promise<Sandbox> {
  if (process.platform !== "linux")
    throw lacking(`the sandbox needs Linux, and this is ${process.platform}`, "Run it on Linux; WSL 2 is one.");
  const filter = systemCallFilter();
  if (filter === undefined)
    throw lacking(`no filter of system calls is known for ${process.arch}`, "Take a machine with x64 or arm64.");
  const bwrap = onPath("bwrap");
  if (bwrap === undefined)
    throw lacking(
      "bubblewrap is not installed",
      "Install it: `apt-get install bubblewrap` on Debian and Ubuntu, `dnf install bubblewrap` on Fedora, `pacman -S bubblewrap` on Arch.",
    );
  const [prlimit, setpriv] = [onPath("prlimit"), onPath("setpriv")];
  if (prlimit === undefined || (process.getuid?.() === 0 && setpriv === undefined))
    throw lacking("prlimit and setpriv are not installed", "Install util-linux.");
  if (!existsSync("/proc/self/task") || !existsSync(`/proc/self/task/${process.pid}/children`))
    throw lacking("the kernel does not tell the children of a process", "It needs CONFIG_PROC_CHILDREN.");
  const found = {
    tools: { bwrap, prlimit, setpriv },
    filter,
    version: execFileSync(bwrap, ["--version"], { encoding: "utf8" }).trim(),
  };
  await tryOut(found);
  return found;
}

/** In the folders that hold programs of the system, so that the sandbox has them too. */
function onPath(name: string): string | undefined {
  const folders = [...(process.env.PATH ?? "").split(delimiter), "/usr/bin", "/bin"];
  return folders
    .filter((folder) => /^(\/usr)?(\/local)?\/s?bin$|^\/(nix|gnu)\/|^\/run\/(current-system|wrappers)\//.test(folder))
    .map((folder) => join(folder, name))
    .find((path) => {
      try {
        accessSync(path, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}

const factsSchema = z.object({
  file: z.boolean(),
  write: z.boolean(),
  interfaces: z.array(z.string()),
  init: z.string(),
  user: z.number(),
  status: z.string(),
  variables: z.array(z.string()),
  memory: z.boolean(),
  children: z.number(),
});

/** Programs that the probe starts: more than it may. */
const started = mostProcesses + 16;

/** Tries, inside, what must not go, and tells what went. */
const attempts = (file: string) => `
const fs = require("node:fs");
const goes = (work) => { try { work(); return true; } catch { return false; } };
const text = (path) => { try { return fs.readFileSync(path, "utf8"); } catch { return ""; } };
const facts = {
  file: goes(() => fs.readFileSync(${JSON.stringify(file)})),
  write: ["/", "/dev", "/etc", "/proc", "/usr"].some((folder) => goes(() => fs.writeFileSync(folder + "/probe", ""))),
  interfaces: text("/proc/net/dev").split("\\n").slice(2).map((line) => line.split(":")[0].trim()).filter(Boolean),
  init: text("/proc/1/comm").trim(),
  user: process.getuid(),
  status: text("/proc/self/status"),
  variables: Object.keys(process.env),
  memory: goes(() => Buffer.alloc(2 ** 30)),
  children: 0,
};
const { spawn } = require("node:child_process");
for (let i = 0; i < ${started}; i++) {
  const child = spawn("/bin/sleep", ["5"], { stdio: "ignore" });
  child.on("error", () => {});
  if (child.pid !== undefined) facts.children += 1;
}
console.log(JSON.stringify(facts));
process.exit(0);
`;

async function tryOut({ tools, filter, version }: Sandbox): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "amalgam-probe-"));
  let ending: Ending;
  try {
    const file = join(folder, "outside");
    writeFileSync(file, "", { mode: 0o644 });
    const node = findInterpreter.javascript();
    const limits = { seconds: 20, memoryBytes: 512 * 2 ** 20, outputBytes: 2 ** 16 };
    const program = {
      command: [node.command(limits.memoryBytes)[0]!, "-e", attempts(file)],
      folders: node.folders,
      job: "",
    };
    ending = await runProgram(program, { tools, filter, limits }, 0, new AbortController().signal);
  } finally {
    rmSync(folder, { recursive: true });
  }
  const facts = factsOf(ending);
  if (facts === undefined)
    throw lacking(
      `${version} can't build a sandbox (${ending.errors.trim().replace(/\s+/g, " ").slice(0, 300) || ending.kind})`,
      "Namespaces may be forbidden: on Ubuntu by `kernel.apparmor_restrict_unprivileged_userns`, elsewhere by `kernel.unprivileged_userns_clone` or `user.max_user_namespaces`; in a container they need `--privileged`, or a seccomp profile that allows them.",
    );
  const failing = shortcomings(facts);
  if (failing.length > 0)
    throw lacking(
      `a program in the sandbox ${failing.join(", and ")}`,
      "Look at how this machine, or the container, is set up.",
    );
}

function factsOf({ output }: Ending): z.infer<typeof factsSchema> | undefined {
  try {
    return factsSchema.parse(JSON.parse(output));
  } catch {
    return undefined;
  }
}

function shortcomings(facts: z.infer<typeof factsSchema>): string[] {
  const line = (name: string) => new RegExp(`^${name}:\\s*(\\S+)`, "m").exec(facts.status)?.[1];
  const signs: readonly (readonly [boolean, string])[] = [
    [facts.file, "can read files of this machine"],
    [facts.write, "can write files"],
    [facts.interfaces.some((name) => name !== "lo"), "sees the network"],
    [facts.init !== "bwrap", "sees processes of this machine"],
    [facts.user === 0, "is root"],
    [!/^0+$/.test(line("CapEff") ?? "-"), "has privileges"],
    [line("NoNewPrivs") !== "1", "can gain privileges"],
    [line("Seccomp") !== "2", "may make every system call"],
    [facts.variables.includes("USER") || facts.variables.includes("NODE_OPTIONS"), "sees the environment"],
    [facts.memory, "can take more memory than it may"],
    [facts.children >= started, "can start more processes than it may"],
    [facts.children === 0, "can start no process (Linux 5.14 or newer counts them apart)"],
  ];
  return signs.flatMap(([found, words]) => (found ? [words] : []));
}

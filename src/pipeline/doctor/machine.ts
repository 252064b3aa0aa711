import { existsSync, readFileSync } from "node:fs";
import { statfs } from "node:fs/promises";
import { availableParallelism, cpus, totalmem } from "node:os";
import { dirname } from "node:path";
import { formatBytes } from "../../models/index.ts";
import { fasterLibrary, fasterPrecision, kernelIsFaster, kernelIsFasterForFew, machineRates } from "../../nn/index.ts";
import { checkCode } from "../../rewards/index.ts";
import { cacheFolder, EnvironmentError } from "../../schema/index.ts";
import { findCompiler, findTorch, native, onSetup, ops, supportedTorch } from "../../torch/index.ts";
import { availableMemory } from "../../training/index.ts";
import { type Finding, findingOf, ok, problem, warning } from "./finding.ts";

/** The least version of `engines` in package.json. */
const leastNode = [20, 19] as const;

/** What the machine has, whatever the recipe. Slow steps (compiling, measuring) are told to `notify` before they begin. */
export async function* machineFindings(notify: (line: string) => void): AsyncGenerator<Finding> {
  yield nodeFinding(process.versions.node);
  const compiler = findCompiler();
  yield compiler === undefined
    ? warning(
        "compiler",
        "no C++ compiler was found (g++, clang++, c++, or what CXX names)",
        "Install one: `apt-get install g++` on Debian and Ubuntu, `dnf install gcc-c++` on Fedora, `xcode-select --install` on macOS.",
      )
    : ok("compiler", compiler);
  yield* torchFindings(notify);
  yield coresFinding();
  yield memoryFinding();
  yield hugePagesFinding();
  yield await diskFinding("disk of the cache", cacheFolder());
  yield await sandboxFinding();
}

/** Most runs have no code to run: a machine without a sandbox is no problem before a recipe asks for one. */
async function sandboxFinding(): Promise<Finding> {
  try {
    return ok("sandbox for code", await checkCode(["javascript"]));
  } catch (error) {
    const { detail, hint } = findingOf("sandbox for code", error);
    return warning("sandbox for code", `${detail}; only rewards of kind code need it`, hint);
  }
}

export function nodeFinding(version: string): Finding {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  const enough = major > leastNode[0] || (major === leastNode[0] && minor >= leastNode[1]);
  if (enough) return ok("Node.js", version);
  return problem(
    "Node.js",
    `${version}, and Amalgam needs ${leastNode.join(".")} or newer`,
    "Install a newer one from nodejs.org.",
  );
}

async function* torchFindings(notify: (line: string) => void): AsyncGenerator<Finding> {
  let found: ReturnType<typeof findTorch>;
  try {
    found = findTorch(notify);
  } catch (error) {
    yield findingOf("libtorch", error);
    return;
  }
  if (found === undefined) {
    const versions = supportedTorch.map((version) => `${version}.x`).join(", ");
    yield warning(
      "libtorch",
      "not on this machine yet",
      `The first run fetches it with pip (about 200 MB for the processor, several GB for CUDA); or install torch ${versions} yourself, or set AMALGAM_TORCH.`,
    );
    return;
  }
  const { root, version, foundBy, cuda } = found;
  const origin = foundBy === "cache" ? "private copy" : `found by ${foundBy}`;
  yield ok("libtorch", `${version}, ${cuda ? "with CUDA" : "for the processor"}, ${origin}: ${root}`);
  try {
    onSetup(notify);
    yield ok("engine", `loads; ${native().threads()} threads${cuda ? `, ${cudaWords()}` : ""}`);
  } catch (error) {
    yield findingOf("engine", error);
    return;
  }
  const rates = machineRates();
  const { blas, onednn, kernel, bf16 } = rates;
  const ways = [
    ["the BLAS", blas],
    ["oneDNN", onednn],
    ["the kernel of the addon", kernel],
  ] as const;
  const fp32 = ways.flatMap(([name, rate]) => (rate === null ? [] : `${rate.toFixed(0)} by ${name}`)).join(", ");
  const library = fasterLibrary(rates) === "onednn" ? "oneDNN" : "the BLAS";
  const few = kernelIsFasterForFew(rates) ? ", up to 16 rows by a kernel that reads weights as they lie" : "";
  const taken = (kernelIsFaster(rates) ? `the kernel, of few rows by ${library}` : library) + few;
  yield ok(
    "matrix products",
    `fp32 ${fp32}, bf16 ${bf16.toFixed(0)} GFLOP/s: fp32 is computed by ${taken}, and precision auto takes ${fasterPrecision(rates)} on the processor`,
  );
}

function cudaWords(): string {
  try {
    ops.zeros([1], { device: "cuda" });
    return "a CUDA device answers";
  } catch {
    return "no CUDA device answers";
  }
}

const instructionSets = ["avx2", "avx512f", "avx512_bf16", "amx_bf16"];

function coresFinding(): Finding {
  const usable = availableParallelism();
  const model = cpus()[0]?.model.trim() || process.arch;
  const flags =
    read("/proc/cpuinfo")
      ?.match(/^flags\s*:(.*)$/m)?.[1]
      ?.split(" ") ?? [];
  const sets = instructionSets.filter((name) => flags.includes(name));
  return ok("cores", `${usable} of ${cpus().length}, ${model}${sets.length > 0 ? ` (${sets.join(", ")})` : ""}`);
}

function memoryFinding(): Finding {
  const limit = process.constrainedMemory();
  const total = limit > 0 && limit < totalmem() ? limit : totalmem();
  return ok("memory", `${formatBytes(availableMemory())} free of ${formatBytes(total)}`);
}

function hugePagesFinding(): Finding {
  const what = "huge pages";
  const setting = /\[(\w+)\]/.exec(read("/sys/kernel/mm/transparent_hugepage/enabled") ?? "")?.[1];
  if (setting === undefined) return ok(what, "this system has no setting for transparent huge pages");
  if (setting !== "never") return ok(what, `transparent huge pages: ${setting}`);
  return warning(
    what,
    "transparent huge pages are off: small steps are 10 to 20 % slower",
    "As root: echo madvise > /sys/kernel/mm/transparent_hugepage/enabled",
  );
}

function read(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return undefined;
  }
}

/** Bytes that may still be written where a folder lies or will lie. */
export async function freeSpace(folder: string): Promise<number> {
  let at = folder;
  while (!existsSync(at) && dirname(at) !== at) at = dirname(at);
  const { bavail, bsize } = await statfs(at);
  return bavail * bsize;
}

async function diskFinding(what: string, folder: string): Promise<Finding> {
  try {
    return ok(what, `${formatBytes(await freeSpace(folder))} free for ${folder}`);
  } catch (cause) {
    return findingOf(
      what,
      new EnvironmentError(`${folder} can't be looked at: ${(cause as Error).message}`, { cause }),
    );
  }
}

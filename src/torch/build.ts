import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, renameSync, rmSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, relative } from "node:path";
import { cacheFolder, EnvironmentError, makeCacheFolder, packageFile } from "../schema/index.ts";
import type { TorchInstallation } from "./locate.ts";

const sourceFolder = packageFile("native");
const packageFolder = (name: string) => dirname(createRequire(import.meta.url).resolve(`${name}/package.json`));

/** Compiler flags and libraries by platform. Linux is tested here; macOS is written by the book and untried. */
function platformFlags(torch: TorchInstallation): string[] {
  const lib = join(torch.root, "lib");
  const common = [`-L${lib}`, "-ltorch", "-ltorch_cpu", "-lc10", `-Wl,-rpath,${lib}`];
  if (process.platform === "darwin") return ["-undefined", "dynamic_lookup", ...common];
  const linux = ["-Wl,-z,nodelete", ...common];
  return torch.cuda ? ["-Wl,--no-as-needed", "-ltorch_cuda", "-lc10_cuda", ...linux] : linux;
}

/** Flags of every platform. */
const compilerFlags = [
  ...["-O3", "-std=c++20", "-fPIC", "-shared"],
  // As libtorch itself is compiled: without it some of its classes have a member more.
  "-DNDEBUG",
  ...["-DUSE_C10D_GLOO", "-DNODE_ADDON_API_CPP_EXCEPTIONS", "-DNAPI_VERSION=9"],
];

function filesUnder(folder: string): string[] {
  return readdirSync(folder)
    .sort()
    .map((name) => join(folder, name))
    .flatMap((path) => (statSync(path).isDirectory() ? filesUnder(path) : [path]));
}

/** Everything that decides what the compiler gives: the sources, its flags, libtorch, the ABI and the platform. */
function buildKey(torch: TorchInstallation): string {
  const hash = createHash("sha256");
  for (const file of filesUnder(sourceFolder))
    hash.update(relative(sourceFolder, file)).update("\0").update(readFileSync(file));
  hash.update(compilerFlags.join("\0"));
  hash.update(
    [torch.version, torch.root, torch.cuda, process.versions.modules, process.platform, process.arch].join("\0"),
  );
  return hash.digest("hex").slice(0, 24);
}

/** The C++ compiler: `CXX`, else g++, clang++ or c++ on PATH. */
export function findCompiler(): string | undefined {
  const named = process.env.CXX;
  const candidates = named === undefined || named === "" ? ["g++", "clang++", "c++"] : [named];
  return candidates.find((name) => spawnSync(name, ["--version"], { stdio: "ignore" }).status === 0);
}

/**
 * Path of the addon for this libtorch, compiled on first use (about 20 s) and then taken from the cache. The finished
 * file appears by one rename, so that processes which start at once each see none or a whole one.
 *
 * @throws EnvironmentError when there is no C++ compiler or the compilation fails.
 */
export function buildAddon(torch: TorchInstallation, notify: (line: string) => void): string {
  const folder = join(cacheFolder(), "addon", buildKey(torch));
  const addon = join(folder, "amalgam.node");
  if (existsSync(addon)) return addon;
  const compiler = findCompiler();
  if (compiler === undefined)
    throw new EnvironmentError(
      process.env.CXX
        ? `the C++ compiler that CXX names can't be run: ${process.env.CXX}`
        : "no C++ compiler was found (g++, clang++, c++)",
      {
        hint: "Install one: `apt-get install g++` on Debian and Ubuntu, `dnf install gcc-c++` on Fedora, `xcode-select --install` on macOS.",
      },
    );
  notify(`compiling the addon against torch ${torch.version} with ${compiler}; this happens once and takes about 20 s`);
  makeCacheFolder(folder);
  const partial = `${addon}.${process.pid}.partial`;
  const include = (path: string) => `-I${path}`;
  const outcome = spawnSync(
    compiler,
    [
      ...compilerFlags,
      include(join(packageFolder("node-api-headers"), "include")),
      include(packageFolder("node-addon-api")),
      include(sourceFolder),
      include(join(sourceFolder, "declarations")),
      include(join(torch.root, "include")),
      include(join(torch.root, "include", "torch", "csrc", "api", "include")),
      join(sourceFolder, "addon.cc"),
      ...["-o", partial],
      ...platformFlags(torch),
    ],
    { encoding: "utf8" },
  );
  if (outcome.status !== 0) {
    rmSync(partial, { force: true });
    const said = outcome.stderr ?? "";
    const firstError =
      said.split("\n").find((line) => line.includes("error")) ??
      (said.slice(0, 400) || `it ended by ${outcome.signal ?? `status ${outcome.status}`}`);
    throw new EnvironmentError(`compiling the addon with ${compiler} failed: ${firstError}`, {
      hint: "It needs C++20 (g++ 11 or clang 14 and newer) and about 1 GB of memory. `CXX` names another compiler.",
    });
  }
  renameSync(partial, addon);
  return addon;
}

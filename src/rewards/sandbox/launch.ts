import { existsSync, lstatSync, readlinkSync } from "node:fs";
import { dirname } from "node:path";

/** What a program may take; whatever crosses it is ended. */
export interface Limits {
  /** Processor time of one process. Three times as much may pass on the clock, so that a busy machine turns no verdict. */
  readonly seconds: number;
  /** Of a process, and of all together. */
  readonly memoryBytes: number;
  /** Of standard output, and of standard error. */
  readonly outputBytes: number;
}

/** Processes and threads together; Node alone has eleven. */
export const mostProcesses = 48;
const mostFiles = 64;

/** Tools that build the sandbox, by their paths. */
export interface Tools {
  readonly bwrap: string;
  readonly prlimit: string;
  /** Needed by root alone. */
  readonly setpriv: string | undefined;
}

/** Numbers of open files that a launch has beside the usual three. */
export const filterFile = 5;

/** Parts of the machine's own system that programs need, read-only. No home, no /etc, no /run, no /tmp, no /var. */
const systemFolders = ["/usr", "/bin", "/lib", "/lib64", "/lib32", "/nix/store", "/gnu/store"];
const systemFiles = ["/etc/ld.so.cache", "/etc/alternatives"];
const devices = ["/dev/null", "/dev/zero", "/dev/random", "/dev/urandom"];

/**
 * The command that runs `program` in a sandbox: namespaces of its own for processes, network, mounts, users, IPC and names; the system and
 * `folders` read-only and nothing else; no environment; nothing to write to but its pipes; limits that count from there on. Root becomes a
 * user of no rights (another one for each `serial`), for the limit of processes does not hold for root.
 */
export function launchArguments(
  tools: Tools,
  folders: readonly string[],
  limits: Limits,
  serial: number,
  program: readonly string[],
): string[] {
  const root = process.getuid?.() === 0;
  const own = folders.filter((folder) => !folder.startsWith("/usr/"));
  const seconds = Math.ceil(limits.seconds);
  return [
    ...["--die-with-parent", "--new-session", "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts"],
    ...["--unshare-cgroup-try", "--hostname", "sandbox"],
    ...(root ? privilegesToDrop : ["--unshare-user", "--uid", "65534", "--gid", "65534"]),
    // Folders that bwrap makes on its way to a mount may be closed to others.
    ...[...new Set(["/etc", "/dev", ...own.flatMap(ancestors)])].flatMap((folder) => ["--dir", folder]),
    ...systemFolders.flatMap(mounted),
    ...systemFiles.flatMap((file) => ["--ro-bind-try", file, file]),
    ...own.flatMap((folder) => ["--ro-bind", folder, folder]),
    ...["--proc", "/proc"],
    ...devices.flatMap((device) => ["--dev-bind", device, device]),
    ...["stdin", "stdout", "stderr"].flatMap((name, number) => [
      "--symlink",
      `/proc/self/fd/${number}`,
      `/dev/${name}`,
    ]),
    ...["--chdir", "/", "--remount-ro", "/", "--seccomp", String(filterFile), "--"],
    ...(root ? unprivileged(tools.setpriv!, userOf(serial)) : []),
    tools.prlimit,
    `--nproc=${mostProcesses}`,
    `--data=${limits.memoryBytes}`,
    `--cpu=${seconds}:${seconds + 1}`,
    ...["--stack=8388608", "--fsize=0", "--core=0", "--memlock=65536", "--msgqueue=0", `--nofile=${mostFiles}`],
    ...program,
  ];
}

const privilegesToDrop = ["CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP"].flatMap((one) => ["--cap-add", one]);

/** A user for each program: what of an earlier one is still ending, here or in another Amalgam, takes nothing from its limit of processes. */
const userOf = (serial: number): number => 2_000_000_000 + (process.pid % 2 ** 16) * 2 ** 12 + (serial % 2 ** 12);

const unprivileged = (setpriv: string, user: number): string[] => [
  ...[setpriv, `--reuid=${user}`, `--regid=${user}`, "--clear-groups"],
  ...["--inh-caps=-all", "--bounding-set=-all", "--no-new-privs"],
];

/** A folder of the system as it is: a link, a folder, or not there. */
function mounted(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return lstatSync(folder).isSymbolicLink()
    ? ["--symlink", readlinkSync(folder), folder]
    : ["--ro-bind", folder, folder];
}

/** The folders above, from the outermost on, without the root. */
function ancestors(path: string): string[] {
  const above = dirname(path);
  return above === "/" ? [] : [...ancestors(above), above];
}

/** What a program in the sandbox finds in its environment, all of it. The same sets in Python each time; one thread for what would start many. */
export const environment: Readonly<Record<string, string>> = {
  PATH: "/usr/bin:/bin",
  HOME: "/",
  LANG: "C.UTF-8",
  TZ: "UTC",
  PYTHONHASHSEED: "0",
  PYTHONDONTWRITEBYTECODE: "1",
  OMP_NUM_THREADS: "1",
  OPENBLAS_NUM_THREADS: "1",
  UV_THREADPOOL_SIZE: "2",
};

import type { Language } from "../../sandbox/index.ts";
import type { Verdict } from "../verdict.ts";

/** A program whose test passes only where its attack went through. */
export interface HostileProgram {
  readonly name: string;
  readonly language: Language;
  readonly code: string;
  /** How it may end. */
  readonly ends: readonly Verdict[];
}

/** What of this machine the attacks aim at. */
export interface Targets {
  /** A file that anyone may read and write. */
  readonly file: string;
  /** A port of 127.0.0.1, and unix sockets, where something listens. */
  readonly port: number;
  readonly socket: string;
  readonly abstractSocket: string;
  /** The process that runs the sandboxes. */
  readonly pid: number;
  /** A variable of its environment, and what it holds. */
  readonly variable: string;
  readonly secret: string;
  /** A word that the command line of every process left behind would have. */
  readonly mark: string;
}

const python = (name: string, ends: readonly Verdict[], code: string): HostileProgram => ({
  name,
  language: "python",
  ends,
  code: `import ctypes, mmap, os, resource, shutil, signal, socket, subprocess, sys, threading, time\n${code}`,
});

const javascript = (name: string, ends: readonly Verdict[], code: string): HostileProgram => ({
  name,
  language: "javascript",
  ends,
  code,
});

/** Takes what it can get: each is to cross the limit that is named. */
export const greedy: readonly HostileProgram[] = [
  python("fork bomb", ["timeout", "exception", "killed"], "while True:\n  try: os.fork()\n  except OSError: pass"),
  python(
    "threads without end",
    ["exception", "memory", "timeout"],
    "while True: threading.Thread(target=time.sleep, args=(9,)).start()",
  ),
  python("10 GB at once", ["memory"], "held = b'x' * 10**10"),
  python("10 GB bit by bit", ["memory"], "held = []\nwhile True: held.append(bytearray(10**6))"),
  python(
    "10 GB of shared memory",
    ["memory", "exception"],
    "held = mmap.mmap(-1, 10**10)\nfor at in range(0, 10**10, 4096): held[at] = 1",
  ),
  python(
    "10 GB in many processes",
    ["memory"],
    "for _ in range(40):\n  if os.fork() == 0:\n    held = bytearray(10**8)\n    for at in range(0, 10**8, 4096): held[at] = 1\n    time.sleep(60)\ntime.sleep(60)",
  ),
  python("10 GB unpacked", ["memory"], "import zlib\nheld = zlib.decompress(zlib.compress(b'0' * 10**7) ) * 1000"),
  javascript("10 GB of buffers", ["memory"], "const held = []; for (;;) held.push(Buffer.alloc(1e7, 1));"),
  javascript("10 GB of objects", ["memory"], "const held = []; for (;;) held.push(new Array(1e5).fill(0.5));"),
  python("endless output", ["output"], "while True: print('x' * 1000)"),
  python("a line of a gigabyte", ["output", "memory"], "while True: sys.stdout.write('x' * 10**6)"),
  python("endless errors", ["output"], "while True: print('x' * 1000, file=sys.stderr)"),
  python("endless words to the driver's file", ["output"], "while True: os.write(4, b'x' * 1000)"),
  python("what nobody reads", ["timeout"], "while True: os.write(3, b'x' * 1000)"),
  javascript("endless output", ["output"], "for (;;) require('fs').writeSync(1, 'x'.repeat(1000));"),
  python("endless loop", ["timeout"], "while True: pass"),
  python("endless sleep", ["timeout"], "time.sleep(10**6)"),
  python(
    "deaf to signals",
    ["timeout", "killed"],
    "for one in range(1, 65):\n  try: signal.signal(one, signal.SIG_IGN)\n  except (OSError, ValueError): pass\nwhile True: pass",
  ),
  python(
    "closes its files and goes on",
    ["timeout"],
    "for one in range(64):\n  try: os.close(one)\n  except OSError: pass\nwhile True: pass",
  ),
  python(
    "recursion without end",
    ["killed", "exception", "memory", "timeout"],
    "sys.setrecursionlimit(10**9)\nf = lambda n: f(n + 1)\nf(0)",
  ),
  javascript("waits for ever", ["timeout"], "Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);"),
  javascript(
    "threads without end",
    ["exception", "killed", "memory", "timeout"],
    "const { Worker } = require('worker_threads'); for (;;) new Worker('for (;;);', { eval: true });",
  ),
];

const refused: readonly Verdict[] = ["wrong", "exception", "killed"];

/** Reaches for what is not its own: none may get it. */
export const prying = (t: Targets): readonly HostileProgram[] => [
  python("reads a file", refused, `open(${JSON.stringify(t.file)}).read()`),
  python("reads the passwords", refused, `open("/etc/shadow").read()`),
  python("reads the users", refused, `open("/etc/passwd").read()`),
  python("looks into homes", refused, `assert os.listdir("/home") + os.listdir(os.path.expanduser("~root") + "/.ssh")`),
  python("reads through /proc/1/root", refused, `open("/proc/1/root" + ${JSON.stringify(t.file)}).read()`),
  python(
    "reads through /proc/self/cwd",
    refused,
    `open("/proc/self/cwd/../../../.." + ${JSON.stringify(t.file)}).read()`,
  ),
  python("follows a link of its own", refused, `os.symlink(${JSON.stringify(t.file)}, "/link"); open("/link").read()`),
  python("links into a folder", refused, `os.link("/usr/bin/env", "/usr/bin/other")`),
  python("reads the secret", refused, `assert ${JSON.stringify(t.secret)} in str(os.environ)`),
  python(
    "reads every environment of /proc",
    refused,
    `found = b"".join(open(f"/proc/{one}/environ", "rb").read() for one in os.listdir("/proc") if one.isdigit() and os.access(f"/proc/{one}/environ", os.R_OK))\nassert ${JSON.stringify(t.secret)}.encode() in found`,
  ),
  python("reads the environment of its runner", refused, `open("/proc/${t.pid}/environ").read()`),
  javascript(
    "reads the secret",
    refused,
    `if (!JSON.stringify(process.env).includes(${JSON.stringify(t.secret)})) throw 1;`,
  ),
  python("reads the kernel's memory", refused, `open("/dev/mem", "rb").read(1)`),
  python("reads the kernel's log", refused, `open("/dev/kmsg", "rb").read(1)`),
  python(
    "makes a device of the disk",
    refused,
    `os.mknod("/dev/disk", 0o60600, os.makedev(8, 0)); open("/dev/disk", "rb").read(1)`,
  ),
  python("writes outside", refused, `open(${JSON.stringify(t.file)}, "w").write("x")`),
  python("writes into /tmp", refused, `open("/tmp/x", "w").write("x")`),
  python("writes into /dev/shm", refused, `open("/dev/shm/x", "w").write("x")`),
  python(
    "fills the disk wherever it can",
    refused,
    `for folder, within, _ in os.walk("/"):\n  if folder.count("/") > 2: within.clear(); continue\n  try: open(folder + "/fill", "wb").write(b"x" * 10**6)\n  except OSError: continue\n  break\nelse: raise OSError`,
  ),
  python(
    "deletes the system",
    refused,
    `shutil.rmtree("/usr/bin", ignore_errors=True); shutil.rmtree("/dev", ignore_errors=True)\nassert not os.path.exists("/usr/bin/env")`,
  ),
  javascript("deletes the system", refused, `require("fs").rmSync("/usr/bin", { recursive: true, force: true });`),
  python("changes rights", refused, `os.chmod("/usr/bin/env", 0o777)`),
  python("a file in memory", refused, `fd = os.memfd_create("x"); os.write(fd, b"x" * 10**6)`),
  python("calls its runner's machine", refused, `socket.create_connection(("127.0.0.1", ${t.port}), 2)`),
  javascript(
    "calls its runner's machine",
    refused,
    `await new Promise((done, failed) => require("net").connect(${t.port}, "127.0.0.1", done).on("error", failed));`,
  ),
  javascript("fetches a page", refused, `await fetch("http://127.0.0.1:${t.port}/");`),
  python("asks for a name", refused, `socket.gethostbyname("example.com")`),
  python(
    "sends a datagram",
    refused,
    `socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", ${t.port}))`,
  ),
  python("a raw socket", refused, `socket.socket(socket.AF_PACKET, socket.SOCK_RAW)`),
  python("a netlink socket", refused, `socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)`),
  python("a unix socket", refused, `socket.socket(socket.AF_UNIX).connect(${JSON.stringify(t.socket)})`),
  python(
    "an abstract unix socket",
    refused,
    `socket.socket(socket.AF_UNIX).connect("\\0" + ${JSON.stringify(t.abstractSocket)})`,
  ),
  python(
    "the clipboard of terminals",
    refused,
    `import fcntl, termios\nfcntl.ioctl(os.open("/dev/tty", os.O_RDWR), termios.TIOCSTI, b"x")`,
  ),
];

const libc = "libc = ctypes.CDLL(None, use_errno=True)\n";

/** Goes for other processes, its limits and its walls, or ends early to look as if it had passed. */
export const rebellious = (t: Targets): readonly HostileProgram[] => [
  python(
    "kills its parent",
    refused,
    "os.kill(os.getppid(), signal.SIGKILL); time.sleep(0.2); os.kill(os.getppid(), 0); assert os.getppid() != 1",
  ),
  python("kills all it sees", refused, "os.kill(-1, signal.SIGKILL); assert False"),
  python("kills its runner", refused, `os.kill(${t.pid}, signal.SIGKILL)`),
  javascript("kills its runner", refused, `process.kill(${t.pid}, "SIGKILL");`),
  python("traces its parent", refused, `${libc}assert libc.ptrace(16, os.getppid(), 0, 0) == 0`),
  python("traces itself", refused, `${libc}assert libc.ptrace(0, 0, 0, 0) == 0`),
  python("reads memory of others", refused, `${libc}assert libc.process_vm_readv(1, None, 0, None, 0, 0) == 0`),
  python("reads memory by /proc", refused, `open("/proc/${t.pid}/mem", "rb").read(1)`),
  python("mounts", refused, `${libc}assert libc.mount(b"none", b"/usr", b"tmpfs", 0, None) == 0`),
  python("mounts anew, to write", refused, `${libc}assert libc.mount(b"none", b"/", None, 32, None) == 0`),
  python("another root", refused, `${libc}assert libc.chroot(b"/usr") == 0`),
  python("a user namespace", refused, `${libc}assert libc.unshare(0x10000000) == 0`),
  python(
    "a user namespace by its tool",
    refused,
    `subprocess.run(["unshare", "--user", "--map-root-user", "true"], check=True)`,
  ),
  python(
    "root",
    refused,
    "os.setuid(0); assert os.geteuid() == 0 and open('/proc/self/status').read().find('CapEff:\\t0000000000000000') < 0",
  ),
  python(
    "root by a program with rights",
    refused,
    `subprocess.run(["su", "-c", "true"], check=True, stdin=subprocess.DEVNULL)`,
  ),
  python("higher limits", refused, "resource.setrlimit(resource.RLIMIT_DATA, (2**40, 2**40))"),
  python("more processes", refused, "resource.setrlimit(resource.RLIMIT_NPROC, (10**6, 10**6))"),
  python("higher priority", refused, "os.nice(-10)"),
  python("real time", refused, "os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(50))"),
  python("another host name", refused, `${libc}assert libc.sethostname(b"mine", 4) == 0`),
  python("settings of the kernel", refused, `open("/proc/sys/vm/overcommit_memory", "w").write("1")`),
  python("system request", refused, `open("/proc/sysrq-trigger", "w").write("h")`),
  python("the kernel's keys", refused, `${libc}assert libc.syscall(250, 0, -3, 0) > 0`),
  python(
    "an io_uring",
    refused,
    `${libc}buffer = ctypes.create_string_buffer(120)\nassert libc.syscall(425, 8, buffer) >= 0`,
  ),
  python(
    "a daemon that outlives it",
    refused,
    `if os.fork() == 0:\n  os.setsid()\n  if os.fork() == 0:\n    os.closerange(0, 64)\n    os.execv("/bin/sleep", ["sleep", "1000${t.mark}"])\n  os._exit(0)\ntime.sleep(0.3)\nassert False`,
  ),
  python(
    "children that outlive it",
    refused,
    `for _ in range(5): subprocess.Popen(["/bin/sh", "-c", "sleep 1000 # ${t.mark}"], start_new_session=True)\nassert False`,
  ),
  javascript(
    "a child that outlives it",
    refused,
    `require("child_process").spawn("/bin/sh", ["-c", "sleep 1000 # ${t.mark}"], { detached: true, stdio: "ignore" }).unref(); throw 1;`,
  ),
  python("zombies", refused, "for _ in range(30):\n  if os.fork() == 0: os._exit(0)\nassert False"),
  python("ends before its test", refused, "sys.exit(0)"),
  python("ends at once before its test", refused, "os._exit(0)"),
  python("says that it has passed", refused, "os.write(4, b'passed\\n'); print('passed'); os._exit(0)"),
  python("is another program by its test", refused, `os.execv("/bin/true", ["true"])`),
  javascript("ends before its test", refused, "process.exit(0);"),
  javascript("ends by a signal to itself", refused, "process.kill(process.pid, 'SIGKILL'); for (;;);"),
];

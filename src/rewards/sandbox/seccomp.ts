import { endianness } from "node:os";

/** What differs between processors: the kernel's name of the architecture, and the numbers of its calls. */
interface Architecture {
  readonly audit: number;
  readonly clone: number;
  readonly clone3: number;
  readonly refused: readonly number[];
  /** Numbers from here on are those of another way of calling. */
  readonly end?: number;
}

/**
 * Calls that code under test has no use for: of other processes' memory (ptrace, process_vm_*, kcmp), of mounts and namespaces, of sockets
 * (socketpair stays), of memory that no limit counts (memfd_create, shmget, msgget, semget, mq_open), of keys, and the kernel's own
 * machinery (bpf, perf_event_open, userfaultfd, io_uring, modules, kexec, swap, reboot).
 */
const architectures: Readonly<Record<string, Architecture>> = {
  x64: {
    audit: 0xc000_003e,
    clone: 56,
    clone3: 435,
    refused: [
      ...[101, 310, 311, 312], // ptrace, process_vm_readv, process_vm_writev, kcmp
      ...[165, 166, 155, 161, 272, 308, 304], // mount, umount2, pivot_root, chroot, unshare, setns, open_by_handle_at
      ...[41], // socket
      ...[319, 447, 29, 68, 64, 240], // memfd_create, memfd_secret, shmget, msgget, semget, mq_open
      ...[248, 249, 250], // add_key, request_key, keyctl
      ...[321, 298, 323, 425, 175, 313, 246, 320, 167, 169], // bpf ... reboot
      ...[428, 429, 430, 431, 432, 433, 442], // the newer calls of mounts
    ],
    end: 0x4000_0000,
  },
  arm64: {
    audit: 0xc000_00b7,
    clone: 220,
    clone3: 435,
    refused: [
      ...[117, 270, 271, 272],
      ...[40, 39, 41, 51, 97, 268, 265],
      ...[198],
      ...[279, 447, 194, 186, 190, 180],
      ...[217, 218, 219],
      ...[280, 241, 282, 425, 105, 273, 104, 294, 224, 142],
      ...[428, 429, 430, 431, 432, 433, 442],
    ],
  },
};

/** CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET. */
const newNamespaces = 0x7e02_0000;

const load = 0x20;
const jumpIfEqual = 0x15;
const jumpIfAtLeast = 0x35;
const jumpIfAnyBit = 0x45;
const give = 0x06;
const allow = 0x7fff_0000;
const kill = 0x8000_0000;
const errno = (code: number) => 0x0005_0000 | code;
const notPermitted = errno(1);
/** The C library then takes the older call, whose flags can be looked at. */
const unknownCall = errno(38);

/** The kernel's filter of system calls (classic BPF, seccomp_data) for this processor; undefined where there is none. */
export function systemCallFilter(architecture: string = process.arch): Uint8Array | undefined {
  const known = architectures[architecture];
  if (known === undefined || endianness() !== "LE") return undefined;
  const { audit, clone, clone3, refused, end } = known;
  const when = (test: number, value: number, result: number) =>
    [
      [test, 0, 1, value],
      [give, 0, 0, result],
    ] as const;
  const program = [
    [load, 0, 0, 4],
    [jumpIfEqual, 1, 0, audit],
    [give, 0, 0, kill],
    [load, 0, 0, 0],
    ...(end === undefined ? [] : when(jumpIfAtLeast, end, notPermitted)),
    ...refused.flatMap((call) => when(jumpIfEqual, call, notPermitted)),
    ...when(jumpIfEqual, clone3, unknownCall),
    [jumpIfEqual, 0, 3, clone],
    [load, 0, 0, 16],
    ...when(jumpIfAnyBit, newNamespaces, notPermitted),
    [give, 0, 0, allow],
  ] as const;
  const bytes = Buffer.alloc(8 * program.length);
  for (const [index, [code, yes, no, value]] of program.entries()) {
    bytes.writeUInt16LE(code, 8 * index);
    bytes.writeUInt8(yes, 8 * index + 2);
    bytes.writeUInt8(no, 8 * index + 3);
    bytes.writeUInt32LE(value >>> 0, 8 * index + 4);
  }
  return bytes;
}

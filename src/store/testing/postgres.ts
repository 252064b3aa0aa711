import { execFileSync, type SpawnOptions, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import {
  appendFileSync,
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { LedgerRecipe } from "../../schema/index.ts";

/** A PostgreSQL server of the tests' own, in a temporary folder. */
export interface TestPostgres {
  /** Its address; the password stands in the environment variable PGPASSWORD as long as the server runs. */
  readonly url: string;
  readonly password: string;
  /** A ledger in a schema that nothing else uses. */
  freshLedger(over?: Partial<LedgerRecipe>): LedgerRecipe;
  stop(): Promise<void>;
}

/** The folder of PostgreSQL's programs: Debian keeps them away from PATH. Undefined where it is not installed. */
export function postgresPrograms(): string | undefined {
  const debian = "/usr/lib/postgresql";
  const versions = existsSync(debian) ? readdirSync(debian).sort((a, b) => Number(b) - Number(a)) : [];
  const folders = [
    ...versions.map((version) => join(debian, version, "bin")),
    ...(process.env.PATH ?? "").split(":").filter((folder) => folder !== ""),
  ];
  return folders.find((folder) => existsSync(join(folder, "initdb")) && existsSync(join(folder, "postgres")));
}

/** Files of a certificate and its key, in PEM. */
export interface Certificate {
  readonly certificate: string;
  readonly key: string;
}

/** Starts a server. It asks for a password, as one on another machine would; with a certificate it takes encrypted connections only. */
export async function startPostgres(programs: string, tls?: Certificate): Promise<TestPostgres> {
  const folder = mkdtempSync(join(tmpdir(), "amalgam-postgres-"));
  const data = join(folder, "data");
  mkdirSync(data);
  const password = `p%40 ${randomBytes(12).toString("hex")}`;
  const passwordFile = join(folder, "password");
  writeFileSync(passwordFile, password);
  // PostgreSQL refuses to run as root.
  const user: SpawnOptions = process.getuid?.() === 0 ? { uid: 65534, gid: 65534 } : {};
  if (user.uid !== undefined) for (const path of [folder, data, passwordFile]) chownSync(path, 65534, 65534);
  const initialising = ["-D", data, "-U", "amalgam", "-A", "scram-sha-256", `--pwfile=${passwordFile}`, "--no-sync"];
  execFileSync(join(programs, "initdb"), initialising, { ...user, cwd: folder, stdio: "pipe" });
  if (tls !== undefined) {
    const own = { certificate: join(folder, "server.crt"), key: join(folder, "server.key") };
    for (const file of ["certificate", "key"] as const) {
      copyFileSync(tls[file], own[file]);
      // The server refuses a key that is another's, or that others may read.
      chmodSync(own[file], 0o600);
      if (user.uid !== undefined) chownSync(own[file], 65534, 65534);
    }
    const settings = ["ssl = on", `ssl_cert_file = '${own.certificate}'`, `ssl_key_file = '${own.key}'`];
    appendFileSync(join(data, "postgresql.conf"), settings.map((line) => `${line}\n`).join(""));
    writeFileSync(join(data, "pg_hba.conf"), "hostssl all all 127.0.0.1/32 scram-sha-256\n");
  }
  const port = await freePort();
  const words = ["-D", data, "-k", folder, "-h", "127.0.0.1", "-p", String(port), "-c", "fsync=off"];
  const server = spawn(join(programs, "postgres"), words, { ...user, cwd: folder, stdio: "ignore" });
  const ended = new Promise((resolve) => server.once("exit", resolve));
  for (let tries = 0; !accepts(programs, port); tries += 1) {
    if (tries > 300 || server.exitCode !== null) throw new Error("the PostgreSQL server of the tests does not start");
    await sleep(100);
  }
  process.env.PGPASSWORD = password;
  let schemas = 0;
  const url = `postgresql://amalgam@127.0.0.1:${port}/postgres`;
  return {
    url,
    password,
    freshLedger: (over = {}) => ({ url, schema: `run_${process.pid}_${schemas++}`, lease_seconds: 60, ...over }),
    async stop() {
      delete process.env.PGPASSWORD;
      server.kill("SIGINT");
      await ended;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function accepts(programs: string, port: number): boolean {
  try {
    execFileSync(join(programs, "pg_isready"), ["-q", "-h", "127.0.0.1", "-p", String(port)]);
    return true;
  } catch {
    return false;
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

import { spawn } from "node:child_process";
import { once } from "node:events";
import { rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { compileRooms, repository } from "../../schema/testing/compile-rooms.ts";

/** How a child process ended, and what it said. */
export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Children {
  /** Runs a module that finds the room as `./dist/torch/index.js`. */
  run(script: string, args?: readonly string[], environment?: Readonly<Record<string, string>>): Promise<Ended>;
  remove(): void;
}

/** Compiles the rooms `schema`, `torch` and others for plain Node processes, beside the packages that they import. */
export function compileForChildren(...others: string[]): Children {
  const folder = compileRooms("torch", ["schema", "torch", ...others]);
  symlinkSync(join(repository, "native"), join(folder, "native"));
  let scripts = 0;
  return {
    async run(script, args = [], environment = {}) {
      const file = join(folder, `script-${scripts++}.js`);
      writeFileSync(file, script);
      const child = spawn(process.execPath, ["--expose-gc", file, ...args], {
        env: { ...process.env, ...environment },
        stdio: ["ignore", "pipe", "pipe"],
      });
      let stdout = "";
      let stderr = "";
      child.stdout.on("data", (data) => (stdout += data));
      child.stderr.on("data", (data) => (stderr += data));
      const [code, signal] = (await once(child, "close")) as [number | null, NodeJS.Signals | null];
      return { code, signal, stdout, stderr };
    },
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

/** A port of this machine that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  server.close();
  await once(server, "close");
  return address.port;
}

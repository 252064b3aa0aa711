import { rmSync } from "node:fs";
import { type TinyFamily, tinyFolder } from "../../models/testing/tiny-model.ts";
import { type ServeOptions, type ServerHandle, serve } from "../serve.ts";

export const testKey = "sk-test-0123456789abcdefghij";

export interface TinyServer extends ServerHandle {
  /** The base URL of clients, with /v1. */
  readonly base: string;
  /** The lines of the log. */
  readonly log: Record<string, unknown>[];
  readonly logText: () => string;
}

/** A server of tiny random models by their families' names, on a free port of this machine; the key is `testKey`. */
export async function tinyServer(
  families: readonly TinyFamily[],
  options: Partial<ServeOptions> = {},
): Promise<TinyServer> {
  const folders = families.map((family) => ({ name: `tiny-${family}`, folder: tinyFolder(family) }));
  const lines: string[] = [];
  const handle = await serve({
    models: folders.map(({ name, folder }) => ({ name, recipe: { model: folder, precision: "fp32" } })),
    adapters: [],
    adapterRoot: undefined,
    port: 0,
    keyVariables: ["KEY"],
    environment: { KEY: testKey },
    log: { write: (line) => void lines.push(line) },
    locating: { baseFolder: process.cwd(), offline: true },
    ...options,
  });
  return {
    url: handle.url,
    ended: handle.ended,
    base: `${handle.url}/v1`,
    get log() {
      return lines.map((line) => JSON.parse(line) as Record<string, unknown>);
    },
    logText: () => lines.join(""),
    async close() {
      await handle.close();
      for (const { folder } of folders) rmSync(folder, { recursive: true });
    },
  };
}

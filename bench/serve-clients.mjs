// Python's clients against `amalgam serve`: peers/serve_clients.py says which, and what must be equal. Run after `npm run build`:
//   node bench/serve-clients.mjs --python PYTHON [--model REFERENCE]
// PYTHON has openai 3, lm_eval 0.4.13 with its `api` extra, torch 2.13 and transformers 5.23.
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { options } from "./lib/options.mjs";
import { runWorker } from "./lib/processes.mjs";

const { python, model } = options({ python: "python3", model: "package:smollm2-135m-instruct" });
const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "amalgam-serve-clients-"));
await runWorker(process.execPath, [here("lib/model-folder.mjs"), "--model", model, "--folder", folder]);

const current = join(folder, "current");
const env = { ...process.env, OPENAI_API_KEY: `sk-${randomBytes(16).toString("hex")}` };
const server = spawn(
  process.execPath,
  [
    ...[here("../dist/cli/main.js"), "serve", "--model", `served=${current}`, "--precision", "fp32"],
    ...["--port", "0", "--key-env", "OPENAI_API_KEY"],
  ],
  { env, stdio: ["ignore", "inherit", "pipe"] },
);
const listening = new Promise((resolve, reject) => {
  server.on("exit", () => reject(new Error("the server ended")));
  createInterface({ input: server.stderr }).on("line", (line) => {
    if (line.includes('"listening"')) resolve(JSON.parse(line).url);
    else if (!line.includes('"answered"')) console.error(line);
  });
});
const url = `${await listening}/v1`;
const clients = spawn(
  python,
  [
    ...[here("peers/serve_clients.py"), "--url", url, "--model", "served"],
    ...["--folder", current, "--tasks", here("fixtures/serve_tasks.jsonl")],
  ],
  { env, stdio: ["ignore", "inherit", "inherit"] },
);
const [code] = await once(clients, "exit");
server.removeAllListeners("exit");
server.kill("SIGTERM");
await once(server, "exit");
process.exitCode = code ?? 1;

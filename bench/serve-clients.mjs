// Python's clients against `amalgam serve`: peers/serve_clients.py and serve_langchain.py say which, and what must be so. Run after
// `npm run build`:
//   node bench/serve-clients.mjs --python PYTHON [--model REFERENCE] [--tools-model REFERENCE]
// PYTHON has openai 3, lm_eval 0.4.13 with its `api` extra, torch 2.13, transformers 5.23 and langchain-openai.
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

const {
  python,
  model,
  "tools-model": toolsModel,
} = options({
  python: "python3",
  model: "package:smollm2-135m-instruct",
  // Its template takes tools.
  "tools-model": "package:qwen2.5-coder-0.5b-instruct",
});
const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "amalgam-serve-clients-"));
await runWorker(process.execPath, [here("lib/model-folder.mjs"), "--model", model, "--folder", folder]);

const current = join(folder, "current");
const env = { ...process.env, OPENAI_API_KEY: `sk-${randomBytes(16).toString("hex")}` };
const server = spawn(
  process.execPath,
  [
    ...[
      here("../dist/cli/main.js"),
      "serve",
      "--model",
      `served=${current}`,
      "--model",
      `tools=${toolsModel}`,
      "--precision",
      "fp32",
    ],
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
const clients = {
  "peers/serve_clients.py": ["served", "--folder", current, "--tasks", here("fixtures/serve_tasks.jsonl")],
  "peers/serve_langchain.py": ["tools"],
};
for (const [script, [model, ...more]] of Object.entries(clients)) {
  const args = ["-P", here(script), "--url", url, "--model", model, ...more];
  const [code] = await once(spawn(python, args, { env, stdio: ["ignore", "inherit", "inherit"] }), "exit");
  process.exitCode ||= code ?? 1;
}
server.removeAllListeners("exit");
server.kill("SIGTERM");
await once(server, "exit");

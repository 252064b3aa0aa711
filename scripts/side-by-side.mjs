// Runs the scripts of package.json that it is given all at once, and shows what each one wrote when it ends. Ends with 1 if
// any of them failed.
import { spawn } from "node:child_process";
import { once } from "node:events";

const failed = await Promise.all(
  process.argv.slice(2).map(async (name) => {
    const started = performance.now();
    const child = spawn("npm", ["run", "--silent", name], { stdio: ["ignore", "pipe", "pipe"] });
    let said = "";
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text) => (said += text));
    const [code] = await once(child, "close");
    const seconds = Math.round((performance.now() - started) / 1000);
    console.log(`${name}: ${code === 0 ? "passed" : "FAILED"} after ${seconds} s\n${said.trimEnd()}`.trimEnd());
    return code !== 0;
  }),
);
process.exitCode = failed.includes(true) ? 1 : 0;

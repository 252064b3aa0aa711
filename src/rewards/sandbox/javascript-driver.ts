/**
 * What Node runs first: as in Python, with files 3 and 4. A script's own names stay visible to the test; a module (import, export, await at
 * the top) is run together with it, as a data: URL, for there is no file to write it to. The
 * block keeps the driver's own names from the response's.
 */
export const javascriptDriver = `
"use strict";
{
const fs = require("node:fs");
const vm = require("node:vm");
const { AssertionError } = require("node:assert");

const say = (word) => fs.writeSync(4, word + "\\n");
const take = (most) => {
  const pieces = [];
  for (let left = most; left > 0; ) {
    const piece = Buffer.alloc(Math.min(65536, left));
    const bytes = fs.readSync(3, piece);
    if (bytes === 0) break;
    pieces.push(piece.subarray(0, bytes));
    left -= bytes;
  }
  return Buffer.concat(pieces).toString();
};

const job = JSON.parse(take(Number(take(10))));
const root = require("node:module").createRequire("/");
const own = { exports: {} };
root.main = job.main ? own : undefined;
Object.assign(globalThis, { require: root, module: own, exports: own.exports });
if (!job.main) {
  globalThis.assert = root("node:assert");
  const { assert: say } = console;
  console.assert = (holds, ...words) => {
    if (!holds) throw new AssertionError({ message: words.join(" ") || "console.assert" });
  };
}

const asScript = (text, name) => {
  try {
    return new vm.Script(text, { filename: name });
  } catch (error) {
    if (!/import|export|await/.test(String(error.message))) throw error;
  }
};
const runModule = (text) => import("data:text/javascript;charset=utf-8," + encodeURIComponent(text));

const failed = (error) => {
  const text = String(error && error.message);
  if (error && error.code === "ERR_ASSERTION") say("wrong");
  else if (/allocation failed|Invalid array buffer length|out of memory/i.test(text)) say("memory");
  else say("exception");
  fs.writeSync(2, String((error && error.stack) || error).slice(0, 2000) + "\\n");
  process.exit(1);
};
process.on("uncaughtException", failed);
process.on("unhandledRejection", failed);

(async () => {
  const { before, code } = job;
  if (before !== "") vm.runInThisContext(before, { filename: "before.js" });
  const script = asScript(code, "response.js");
  if (script !== undefined) script.runInThisContext();
  else if (job.main) return void (await runModule(code));
  if (job.main) return;
  for (const [name, value] of Object.entries(own.exports))
    if (!(name in globalThis)) globalThis[name] = value;
  const { test, mark } = JSON.parse(take(2 ** 30));
  const wrapped = "(async () => {" + test + "\\n})()";
  if (script !== undefined) await vm.runInThisContext(wrapped, { filename: "test.js" });
  else await runModule(code + "\\n;await " + wrapped + ";");
  say(mark);
  process.exit(0);
})().catch(failed);
}
`;

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { locateTorch, native } from "../dist/torch/index.js";

const reserved = new Set(
  "break case catch class const continue debugger default delete do else enum export extends false finally for function if import in instanceof new null return super switch this throw true try typeof var void while with yield let static await".split(
    " ",
  ),
);
// Answered by the addon itself, in the form that `Tensor` in tensor.ts states.
const notMethods = new Set(
  "item backward data grad requires_grad is_leaf shape dtype device size stride sizes strides numel".split(" "),
);

const simple = {
  Tensor: "Tensor",
  int: "number",
  SymInt: "number",
  float: "number",
  bool: "boolean",
  str: "string",
  Scalar: "Scalar",
  Device: "string",
  ScalarType: "DType",
  Layout: "Layout",
  MemoryFormat: "MemoryFormat",
  Generator: "Generator",
};

/** TypeScript type of a schema type, or undefined where the addon can't convert it. */
function typeOf(text, output) {
  const type = text.replace(/\([^)]*\)/g, "");
  if (type.endsWith("?")) {
    const inner = typeOf(type.slice(0, -1), output);
    return inner && `${inner} | null`;
  }
  const list = /^(.*)\[(\d*)\]$/.exec(type);
  if (list) {
    const inner = typeOf(list[1], output);
    if (!inner) return undefined;
    const array = inner.includes("|") ? `(${inner})[]` : `${inner}[]`;
    if (output) return array;
    return list[2] === "" ? `readonly ${array}` : `${inner} | readonly ${array}`;
  }
  return simple[type];
}

/** Splits at top-level commas. */
function split(text) {
  const parts = [];
  let depth = 0;
  let start = 0;
  for (let k = 0; k < text.length; k++) {
    const c = text[k];
    if (c === "(" || c === "[") depth++;
    else if (c === ")" || c === "]") depth--;
    else if (c === "," && depth === 0) {
      parts.push(text.slice(start, k).trim());
      start = k + 1;
    }
  }
  const last = text.slice(start).trim();
  return last === "" ? parts : [...parts, last];
}

function parse(schema) {
  const match = /^aten::([A-Za-z_0-9]+)(?:\.([A-Za-z_0-9]+))?\((.*)\) -> (.*)$/s.exec(schema);
  if (!match) return undefined;
  const [, name, overload = "", inside, returns] = match;
  const parameters = [];
  let keyword = false;
  for (const part of split(inside)) {
    if (part === "*") {
      keyword = true;
      continue;
    }
    const argument = /^(.*?) ([A-Za-z_0-9]+)(=.*)?$/s.exec(part);
    const type = argument && typeOf(argument[1].trim());
    if (!type) return undefined;
    parameters.push({ name: argument[2], type, keyword, optional: argument[3] !== undefined });
  }
  const outputs =
    returns.startsWith("(") && returns.endsWith(")") && !/^\([a-z]!?\)/.test(returns)
      ? split(returns.slice(1, -1))
      : [returns];
  const types = outputs.map((text) =>
    typeOf(text.replace(/^([A-Za-z]+(?:\([^)]*\))?(?:\[\d*\])?\??)(?: \w+)?$/, "$1"), true),
  );
  if (types.some((type) => !type)) return undefined;
  const result = types.length === 0 ? "void" : types.length === 1 ? types[0] : `[${types.join(", ")}]`;
  return { name, overload, parameters, result };
}

function signature({ parameters, result }, method) {
  const positional = parameters.filter((p) => !p.keyword).slice(method ? 1 : 0);
  const keywords = parameters.filter((p) => p.keyword);
  const safe = (name) => (reserved.has(name) || (name === "self" && method) ? `${name}_` : name);
  const needed = positional.findLastIndex((p) => !p.optional);
  const list = positional.map((p, k) =>
    k <= needed ? `${safe(p.name)}: ${p.type}${p.optional ? " | undefined" : ""}` : `${safe(p.name)}?: ${p.type}`,
  );
  if (keywords.length === 0) return [`(${list.join(", ")}): ${result}`];
  const must = keywords.some((p) => !p.optional);
  const bag = `{ ${keywords.map((p) => `${p.name}${p.optional ? "?" : ""}: ${p.type}`).join("; ")} }`;
  // The options may follow any optional positional argument directly.
  const cuts = [];
  for (let count = needed + 1; count <= positional.length; count++) {
    const head = positional.slice(0, count).map((p) => `${safe(p.name)}: ${p.type}`);
    const last = count === positional.length;
    if (must || !last) cuts.push(`(${[...head, `options: ${bag}`].join(", ")}): ${result}`);
  }
  if (!must) cuts.push(`(${[...list, `options?: ${bag}`].join(", ")}): ${result}`);
  return cuts;
}

const torch = locateTorch(console.error);
const methodNames = new Set(
  [
    ...readFileSync(join(torch.root, "include/ATen/core/TensorBody.h"), "utf8").matchAll(
      /^ {2}(?:inline )?(?:at::|c10::|::std::|Tensor|void|bool|int64_t|double)[^(]* ([a-z_0-9]+)\(/gm,
    ),
  ].map((m) => m[1]),
);
const rank = ({ overload }) => `${/(^|_)out$/.test(overload) ? 1 : 0}${overload}`;
const byName = new Map();
for (const schema of native().schemas()) {
  const parsed = parse(schema);
  if (!parsed) continue;
  const list = byName.get(parsed.name) ?? [];
  list.push(parsed);
  byName.set(parsed.name, list);
}
const names = [...byName.keys()].sort();
for (const list of byName.values()) list.sort((a, b) => (rank(a) < rank(b) ? -1 : 1));

const lines = [
  `// Generated by scripts/generate-ops.mjs from the operator schemas of torch ${native().torchVersion}. Not edited by hand.`,
  `import type { DType } from "./dtype.ts";`,
  `import type { Generator } from "./native.ts";`,
  `import { installMethods, op } from "./native.ts";`,
  `import type { Tensor } from "./tensor.ts";`,
  "",
  "export type Scalar = number | boolean | bigint;",
  `export type Layout = "strided" | "sparse_coo";`,
  `export type MemoryFormat = "contiguous" | "preserve" | "channels_last";`,
  "",
];
for (const name of names) {
  const signatures = [...new Set(byName.get(name).flatMap((schema) => signature(schema, false)))];
  const safe = reserved.has(name) ? `${name}_operator` : name;
  lines.push(
    `${reserved.has(name) ? "" : "export "}const ${safe}: { ${signatures.join("; ")} } = op("aten::${name}");`,
  );
  if (safe !== name) lines.push("", `export { ${safe} as ${name} };`);
}
const isMethod = (name) =>
  methodNames.has(name) &&
  !notMethods.has(name) &&
  byName.get(name).some((s) => s.parameters[0]?.name === "self" && s.parameters[0].type === "Tensor");
const methods = names.filter(isMethod);
lines.push("", "/** The operators that PyTorch has as methods of a tensor. */", "export interface TensorMethods {");
for (const name of methods) {
  const own = byName
    .get(name)
    .filter(
      (s) => s.parameters[0]?.name === "self" && s.parameters[0].type === "Tensor" && !/(^|_)out$/.test(s.overload),
    );
  for (const text of new Set(own.flatMap((schema) => signature(schema, true)))) lines.push(`  ${name}${text};`);
}
lines.push("}", "", "installMethods([");
for (const name of methods) lines.push(`  ["${name}", ${reserved.has(name) ? `${name}_operator` : name}],`);
lines.push("]);", "");
const file = new URL("../src/torch/ops.generated.ts", import.meta.url);
writeFileSync(file, lines.join("\n"));
console.log(`${names.length} operators, ${methods.length} methods`);

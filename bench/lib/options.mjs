import { parseArgs } from "node:util";

/**
 * Options of a script as `--name value`: those given, over these defaults. A default's type is the option's type: a number,
 * a string, or a boolean (a bare flag). Any other option is an error.
 */
export function options(defaults, args = process.argv.slice(2)) {
  const kinds = Object.fromEntries(
    Object.entries(defaults).map(([name, value]) => [
      name,
      { type: typeof value === "boolean" ? "boolean" : "string" },
    ]),
  );
  const { values } = parseArgs({ args, options: kinds });
  const result = { ...defaults };
  for (const [name, text] of Object.entries(values)) {
    const number = typeof defaults[name] === "number";
    result[name] = number ? Number(text) : text;
    if (number && !Number.isFinite(result[name])) throw new Error(`--${name} must be a number, not ${text}`);
  }
  return result;
}

/** `options` turned back into arguments. */
export const toArguments = (values) =>
  Object.entries(values).flatMap(([name, value]) =>
    typeof value === "boolean" ? (value ? [`--${name}`] : []) : [`--${name}`, String(value)],
  );

/** The options of a worker that scores five responses to a prompt. */
export const scoringOptions = () =>
  options({ model: "", precision: "fp32", prompts: 16, repeats: 1, "micro-batch-tokens": 4096 });

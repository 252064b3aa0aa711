import { basename, extname } from "node:path";
import { issueWords, type ServerLimits, serverLimitsSchema } from "../schema/index.ts";
import type { OptionName } from "./command-table.ts";
import { UsageError } from "./usage-error.ts";

/** What `serve` names. */
export interface Serving {
  readonly models: readonly { readonly name: string; readonly model: string; readonly cacheMib?: number }[];
  readonly adapters: readonly {
    readonly name: string;
    readonly model: string | undefined;
    readonly folder: string;
    readonly cacheMib?: number;
  }[];
  readonly adapterRoot: string | undefined;
  readonly host: string | undefined;
  readonly port: number | undefined;
  readonly keyVariables: readonly string[];
  readonly limits: ServerLimits;
  readonly device: string | undefined;
}

const usage = "amalgam serve MODEL, or amalgam serve --model NAME=MODEL --model OTHER=MODEL";

/** Reads the options of `serve`. @throws UsageError */
export function servingOf(
  target: string | undefined,
  all: (name: OptionName) => readonly string[],
  single: (name: OptionName) => string | undefined,
): Serving {
  const models = [
    ...(target === undefined ? [] : [{ name: nameOf(target), model: target }]),
    ...all("model").map((text) => {
      const [name, model] = parts(text, "model", "NAME=MODEL");
      return { name, model };
    }),
  ];
  if (models.length === 0) throw new UsageError("name a model to serve", usage);
  const adapters = all("adapter").map((text) => {
    const [named, folder] = parts(text, "adapter", "NAME=FOLDER");
    const at = named.indexOf("@");
    if (at < 0) return { name: named, model: undefined, folder };
    const [name, model] = [named.slice(0, at), named.slice(at + 1)];
    if (name === "" || model === "") throw new UsageError(`--adapter ${text} is not NAME@MODEL=FOLDER`);
    return { name, model, folder };
  });
  const caches = cachesOf(all("cache"), [...models, ...adapters]);
  const own = (name: string) => (caches.has(name) ? { cacheMib: caches.get(name)! } : {});
  const port = single("port");
  if (port !== undefined && !/^\d{1,5}$/.test(port)) throw new UsageError(`--port ${port}: not a port's number`);
  if (Number(port ?? 0) > 65_535) throw new UsageError(`--port ${port}: the highest is 65535`);
  return {
    models: models.map((model) => ({ ...model, ...own(model.name) })),
    adapters: adapters.map((adapter) => ({ ...adapter, ...own(adapter.name) })),
    ...{ adapterRoot: single("adapter-root"), host: single("host") },
    port: port === undefined ? undefined : Number(port),
    keyVariables: all("key-env"),
    limits: limitsOf(all("limit")),
    device: single("device"),
  };
}

/** A path is called by its last part, anything else by itself. */
const nameOf = (model: string): string =>
  extname(model) === ".gguf" || model.startsWith(".") || model.startsWith("/") || model.startsWith("~")
    ? basename(model, ".gguf")
    : model;

function parts(text: string, option: OptionName, form: string): [before: string, after: string] {
  const at = text.indexOf("=");
  if (at > 0 && at < text.length - 1) return [text.slice(0, at), text.slice(at + 1)];
  throw new UsageError(`--${option} ${text} is not ${form}`, usage);
}

/** Memory for keys and values in MiB, by the name of the model or adapter that it is for. */
function cachesOf(given: readonly string[], served: readonly { readonly name: string }[]): Map<string, number> {
  return new Map(
    given.map((text) => {
      const [name, value] = parts(text, "cache", "NAME=MIB");
      const mib = serverLimitsSchema.shape.cache_mib.safeParse(Number(value));
      if (!mib.success) throw new UsageError(`--cache ${text}: it is a number of MiB above 0`);
      if (!served.some((one) => one.name === name))
        throw new UsageError(
          `--cache ${text}: nothing is served as ${name}`,
          `These are: ${served.map((one) => one.name).join(", ")}.`,
        );
      return [name, mib.data] as const;
    }),
  );
}

function limitsOf(given: readonly string[]): ServerLimits {
  const entries = given.map((text) => {
    const [field, value] = parts(text, "limit", "FIELD=NUMBER");
    return [field, Number(value)] as const;
  });
  const limits = Object.fromEntries(entries);
  const parsed = serverLimitsSchema.safeParse(limits);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0]!;
  if (issue.code === "unrecognized_keys")
    throw new UsageError(
      `there is no limit ${issue.keys[0]}`,
      `They are ${Object.keys(serverLimitsSchema.shape).join(", ")}.`,
    );
  const { message } = issueWords(issue, limits);
  throw new UsageError(`--limit ${issue.path.join(".")} ${message}`);
}

import { Environment, Interpreter, parse, tokenize } from "@huggingface/jinja";
import { DataError } from "../../schema/index.ts";

type Fields = Readonly<Record<string, unknown>>;

/** A text over the fields of a row: plain Jinja, as lm-eval renders it. */
export interface RowTemplate {
  /** @throws DataError where the row lacks a field, or the template can't be carried out */
  render(fields: Fields): string;
  /** What a template that is one expression comes to, lists and numbers as such; the text of any other. */
  value(fields: Fields): unknown;
}

interface Node {
  readonly type: string;
  [part: string]: unknown;
}

// The engine's lists have no `index`, by which most tasks find the right choice.
const indexName = "amalgam_index";
const constants = { true: true, false: false, True: true, False: false, none: null, None: null } as const;

/**
 * Compiles a template. Line breaks stay as they are. Throws Error that says why where it is
 * no Jinja.
 */
export function rowTemplate(text: string): RowTemplate {
  // The engine drops a line break at the end, which lm-eval keeps.
  const program = parse(tokenize(text.endsWith("\n") ? `${text}\n` : text));
  const body = program.body as unknown as Node[];
  rewriteIndex(body);
  const names = freeNames(body);
  const environmentOf = (fields: Fields) => {
    const lacking = [...names].find((name) => fields[name] === undefined);
    if (lacking !== undefined)
      throw new DataError(`the row has no field ${lacking}`, {
        field: lacking,
        hint: `It has ${Object.keys(fields).join(", ")}.`,
      });
    const environment = new Environment();
    for (const [name, value] of Object.entries({ ...constants, ...fields }))
      environment.set(name, value === undefined ? null : value);
    environment.set(indexName, (list: unknown, item: unknown) => {
      // Of a list the engine unwraps the outside only.
      const values = Array.isArray(list) ? list.map((one) => (isNode(one) ? plain(one) : one)) : String(list);
      const at = values.indexOf(item as string);
      if (at < 0) throw new Error(`${JSON.stringify(item)} is not in ${JSON.stringify(values)}`);
      return at;
    });
    return environment;
  };
  const carriedOut = <Value>(work: () => Value): Value => {
    try {
      return work();
    } catch (cause) {
      if (cause instanceof DataError) throw cause;
      throw new DataError(`the template can't be carried out: ${(cause as Error).message}`, {
        cause,
        hint: `It is ${JSON.stringify(text)}.`,
      });
    }
  };
  const render = (fields: Fields) =>
    carriedOut(() => String((new Interpreter(environmentOf(fields)).run(program) as { value: unknown }).value));
  const [only, ...others] = body;
  const isExpression = only !== undefined && others.length === 0 && only.type !== "StringLiteral";
  return {
    render,
    value: (fields) =>
      isExpression && !isStatement(only)
        ? carriedOut(() => {
            const environment = environmentOf(fields);
            return plain(new Interpreter(environment).evaluate(only as never, environment));
          })
        : render(fields),
  };
}

const isStatement = ({ type }: Node) =>
  ["If", "For", "Set", "Macro", "Break", "Continue", "CallStatement"].includes(type);

function plain(value: unknown): unknown {
  const inner = (value as { value: unknown }).value;
  if (Array.isArray(inner)) return inner.map(plain);
  if (inner instanceof Map) return Object.fromEntries([...inner].map(([key, one]) => [key, plain(one)]));
  return inner;
}

const isNode = (value: unknown): value is Node => typeof value === "object" && value !== null && "type" in value;

const childrenOf = (node: Node): Node[] =>
  Object.values(node).flatMap((value) =>
    Array.isArray(value)
      ? value.filter(isNode)
      : value instanceof Map
        ? [...value].flat().filter(isNode)
        : isNode(value)
          ? [value]
          : [],
  );

/** `list.index(item)` becomes a call of a function of ours. */
function rewriteIndex(nodes: readonly Node[]): void {
  for (const node of nodes) {
    const callee = node.callee as Node | undefined;
    if (node.type === "CallExpression" && callee?.type === "MemberExpression") {
      const property = callee.property as Node;
      if (property.type === "Identifier" && property.value === "index") {
        node.args = [callee.object, ...(node.args as unknown[])];
        node.callee = { ...property, type: "Identifier", value: indexName };
      }
    }
    rewriteIndex(childrenOf(node));
  }
}

/** The names that a template takes from the row: not those that it sets, nor those of attributes, filters and tests. */
function freeNames(nodes: readonly Node[]): Set<string> {
  const used = new Set<string>();
  const own = new Set<string>([...Object.keys(constants), indexName, "loop"]);
  const visit = (node: Node): void => {
    if (node.type === "Identifier") used.add(String(node.value));
    if (node.type === "For") collect(node.loopvar as Node, own);
    if (node.type === "Set") collect(node.assignee as Node, own);
    const filter = node.type === "FilterExpression" ? (node.filter as Node) : undefined;
    const names = [
      filter,
      node.type === "MemberExpression" && node.computed !== true ? node.property : undefined,
      node.type === "KeywordArgumentExpression" ? node.key : undefined,
      node.type === "TestExpression" ? node.test : undefined,
    ];
    for (const child of childrenOf(node)) if (!names.includes(child)) visit(child);
    // A filter's own name is none of the row's, its arguments are.
    if (filter?.type === "CallExpression") for (const argument of filter.args as Node[]) visit(argument);
  };
  for (const node of nodes) visit(node);
  return new Set([...used].filter((name) => !own.has(name)));
}

function collect(node: Node, into: Set<string>): void {
  if (node.type === "Identifier") into.add(String(node.value));
  for (const child of childrenOf(node)) collect(child, into);
}

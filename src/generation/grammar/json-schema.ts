import { RequestError } from "../../schema/index.ts";
import {
  choice,
  type Expression,
  type Grammar,
  nothing,
  oneOf,
  optional,
  repeat,
  rule,
  sequence,
  text,
} from "./expression.ts";
import { formats, integer, jsonString, literal, number, patterned, space } from "./json-parts.ts";

type Schema = Readonly<Record<string, unknown>>;

/** Keywords that say nothing about which values fit. `format` is one by the standard; those of `formats` are followed nonetheless. */
const remarks = new Set(
  "$schema $id $anchor $comment $defs definitions title description default examples deprecated readOnly writeOnly format contentEncoding contentMediaType".split(
    " ",
  ),
);
const keywordsOf: Readonly<Record<string, readonly string[]>> = {
  object: ["properties", "required", "additionalProperties"],
  array: ["items", "prefixItems", "minItems", "maxItems"],
  string: ["minLength", "maxLength", "pattern"],
  integer: ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"],
  number: [],
  boolean: [],
  null: [],
};
const types = Object.keys(keywordsOf);
const typeKeywords = new Set(Object.values(keywordsOf).flat());

/** The most values of a bounded integer, which are written out. */
const mostIntegers = 10_000;

/** Any JSON object. */
export const anyJson = (): Grammar => ({ rules: valueRules(), start: rule("object") });

function valueRules(): Map<string, Expression> {
  const value = rule("value");
  const member = sequence(jsonString(), text(":"), space, value);
  return new Map([
    ["value", choice(rule("object"), rule("array"), jsonString(), number, text("true"), text("false"), text("null"))],
    ["object", bracketed("{", listed(member, 0, Number.POSITIVE_INFINITY), "}")],
    ["array", bracketed("[", listed(value, 0, Number.POSITIVE_INFINITY), "]")],
  ]);
}

const bracketed = (open: string, inside: Expression, close: string): Expression =>
  sequence(text(open), space, inside, space, text(close));
const comma = sequence(text(","), space);

/** So many of them with commas between. */
function listed(part: Expression, least: number, most: number): Expression {
  if (most === 0) return nothing;
  const some = sequence(part, repeat(sequence(comma, part), Math.max(0, least - 1), most - 1));
  return least === 0 ? optional(some) : some;
}

/**
 * The grammar of JSON texts that fit a schema: every text of it fits, and where a schema leaves it open, the texts are the plain ones:
 * properties in the order of the schema and no others, at most a space or a line's indentation between parts.
 *
 * @throws RequestError naming the keyword that can't be followed
 */
export function schemaGrammar(root: unknown): Grammar {
  const rules = valueRules();
  const names = new Map<unknown, string>();
  return { rules, start: ruleOf(root, "#") };

  /** A rule for a schema, made once, so that schemas may refer to themselves. */
  function ruleOf(schema: unknown, path: string): Expression {
    if (schema === true || (isSchema(schema) && Object.keys(schema).every((key) => remarks.has(key))))
      return rule("value");
    let name = names.get(schema);
    if (name === undefined) {
      name = `${names.size}:${path}`;
      names.set(schema, name);
      rules.set(name, nothing);
      rules.set(name, expressionOf(schema, path));
    }
    return rule(name);
  }

  function expressionOf(schema: unknown, path: string): Expression {
    if (!isSchema(schema)) return refuse(path, "is no schema that any value fits");
    const { $ref, anyOf, oneOf: one, allOf, enum: values, const: value, ...others } = schema;
    const stated = Object.keys(others).filter((key) => !remarks.has(key));
    const alone = (key: string) => {
      const beside = [...stated, ...Object.keys(schema).filter((k) => k !== key && !(k in others))].filter(
        (k) => k !== "type",
      );
      if (beside.length > 0) refuse(path, `has ${beside[0]} beside ${key}, which can't be followed together`);
    };
    if ($ref !== undefined) {
      alone("$ref");
      return ruleOf(referred($ref, path), String($ref));
    }
    if (value !== undefined) {
      alone("const");
      return literal(value);
    }
    if (values !== undefined) {
      alone("enum");
      return choice(...list(values, `${path}/enum`).map(literal));
    }
    for (const [key, options] of [
      ["anyOf", anyOf],
      ["oneOf", one],
      ["allOf", allOf],
    ] as const) {
      if (options === undefined) continue;
      alone(key);
      const all = list(options, `${path}/${key}`);
      if (key === "allOf" && all.length > 1) refuse(path, "has allOf with several schemas, which can't be followed");
      return choice(...all.map((option, k) => ruleOf(option, `${path}/${key}/${k}`)));
    }
    const given = typesOf(schema, path);
    const foreign = stated.find((key) => key !== "type" && !given.some((type) => keywordsOf[type]!.includes(key)));
    if (foreign !== undefined)
      refuse(
        path,
        typeKeywords.has(foreign)
          ? `has ${foreign}, which is not of its type`
          : `has ${foreign}, which can't be followed`,
      );
    return choice(...given.map((type) => typed(type, schema, path)));
  }

  function typed(type: string, schema: Schema, path: string): Expression {
    switch (type) {
      case "object":
        return objectOf(schema, path);
      case "array":
        return arrayOf(schema, path);
      case "string":
        return stringOf(schema, path);
      case "integer":
        return integerOf(schema, path);
      case "number":
        return number;
      case "boolean":
        return choice(text("true"), text("false"));
      default:
        return text("null");
    }
  }

  function objectOf(schema: Schema, path: string): Expression {
    const { properties = {}, required = [], additionalProperties } = schema;
    if (!isSchema(properties)) return refuse(path, "has properties that are none");
    const needed = new Set(list(required, `${path}/required`).map(String));
    const given = Object.entries(properties);
    const unnamed = [...needed].filter((name) => !Object.hasOwn(properties, name));
    const members = [...given, ...unnamed.map((name) => [name, true] as const)].map(([name, of]) => ({
      needed: needed.has(name),
      expression: sequence(literal(name), text(":"), space, ruleOf(of, `${path}/properties/${name}`)),
    }));
    if (members.length === 0) {
      if (additionalProperties === false || schema.properties !== undefined) return bracketed("{", nothing, "}");
      const value = ruleOf(additionalProperties ?? true, `${path}/additionalProperties`);
      const member = sequence(jsonString(), text(":"), space, value);
      return bracketed("{", listed(member, 0, Number.POSITIVE_INFINITY), "}");
    }
    // After the first member each other one has its comma, or is left out.
    const following = (k: number): Expression[] =>
      members.slice(k).map(({ needed, expression }) => {
        const further = sequence(comma, expression);
        return needed ? further : optional(further);
      });
    const firstNeeded = members.findIndex(({ needed }) => needed);
    const firsts = members
      .slice(0, firstNeeded < 0 ? members.length : firstNeeded + 1)
      .map(({ expression }, k) => sequence(expression, ...following(k + 1)));
    return bracketed("{", choice(...firsts, ...(firstNeeded < 0 ? [nothing] : [])), "}");
  }

  function arrayOf(schema: Schema, path: string): Expression {
    const { items = true, prefixItems = [] } = schema;
    const first = list(prefixItems, `${path}/prefixItems`).map((item, k) => ruleOf(item, `${path}/prefixItems/${k}`));
    const [least, most] = bounds(schema, "minItems", "maxItems", path);
    if (first.length === 0)
      return items === false
        ? bracketed("[", nothing, "]")
        : bracketed("[", listed(ruleOf(items, `${path}/items`), least, most), "]");
    if (items !== false && schema.items !== undefined)
      refuse(path, "has items beside prefixItems, which can't be followed together");
    if (least > first.length || most < first.length) refuse(path, "has a length that its prefixItems don't have");
    return bracketed("[", sequence(...first.flatMap((item, k) => (k === 0 ? [item] : [comma, item]))), "]");
  }

  function stringOf(schema: Schema, path: string): Expression {
    const { pattern, format } = schema;
    const form = formats.get(String(format));
    if (pattern === undefined && schema.minLength === undefined && schema.maxLength === undefined)
      return form === undefined ? jsonString() : patterned(form);
    if (pattern === undefined) return jsonString(...bounds(schema, "minLength", "maxLength", path));
    if (schema.minLength !== undefined || schema.maxLength !== undefined)
      refuse(path, "has a length beside a pattern, which can't be followed together");
    if (typeof pattern !== "string") refuse(path, "has a pattern that is no text");
    return patterned(pattern as string);
  }

  function integerOf(schema: Schema, path: string): Expression {
    const bound = (plain: string, exclusive: string, step: number) => {
      const found = schema[plain] ?? (schema[exclusive] === undefined ? undefined : Number(schema[exclusive]) + step);
      if (found !== undefined && !Number.isSafeInteger(found)) refuse(path, `has a ${plain} that is no whole number`);
      return found as number | undefined;
    };
    const least = bound("minimum", "exclusiveMinimum", 1);
    const most = bound("maximum", "exclusiveMaximum", -1);
    if (least === undefined && most === undefined) return integer;
    if (least === 0 && most === undefined)
      return sequence(choice(text("0"), sequence(oneOf("123456789"), repeat(oneOf("0123456789"), 0, 14))));
    if (least === undefined || most === undefined || most < least || most - least >= mostIntegers)
      return refuse(path, `bounds an integer other than by two numbers with less than ${mostIntegers} between them`);
    return choice(...Array.from({ length: most - least + 1 }, (_, k) => text(String(least + k))));
  }

  function referred(reference: unknown, path: string): unknown {
    if (typeof reference !== "string" || !/^#(\/|$)/.test(reference))
      return refuse(path, `refers to ${JSON.stringify(reference)}, which is not within the schema`);
    let at: unknown = root;
    for (const part of reference.split("/").slice(1)) {
      const name = unescaped(part, path);
      at = Array.isArray(at) || isSchema(at) ? (at as Schema)[name] : undefined;
    }
    return at === undefined ? refuse(path, `refers to ${reference}, which is not there`) : at;
  }
}

function typesOf(schema: Schema, path: string): string[] {
  const { type } = schema;
  if (type === undefined) {
    const meant = types.filter((name) => keywordsOf[name]!.some((key) => key in schema));
    return meant.length === 1 ? meant : refuse(path, "doesn't say of which type it is");
  }
  const given = Array.isArray(type) ? type : [type];
  const unknown = given.find((one) => !types.includes(one as string));
  if (unknown !== undefined || given.length === 0) refuse(path, `has a type ${JSON.stringify(unknown)} that is none`);
  return given as string[];
}

function bounds(schema: Schema, least: string, most: string, path: string): [least: number, most: number] {
  const found = [schema[least] ?? 0, schema[most] ?? Number.POSITIVE_INFINITY] as [number, number];
  for (const bound of found)
    if (!(bound === Number.POSITIVE_INFINITY || (Number.isSafeInteger(bound) && bound >= 0)))
      refuse(path, `has a ${least} or ${most} that is no length`);
  if (found[0] > found[1]) refuse(path, `has a ${least} above its ${most}`);
  return found;
}

/** A step of a JSON pointer in a URI's fragment. */
function unescaped(step: string, path: string): string {
  try {
    return decodeURIComponent(step).replaceAll("~1", "/").replaceAll("~0", "~");
  } catch {
    return refuse(path, `refers to ${step}, whose % begins no character`);
  }
}

const isSchema = (value: unknown): value is Schema =>
  typeof value === "object" && value !== null && !Array.isArray(value);

function list(value: unknown, path: string): readonly unknown[] {
  return Array.isArray(value) && (value.length > 0 || /prefixItems$|required$/.test(path))
    ? value
    : refuse(path, "is no list, or an empty one");
}

function refuse(path: string, what: string): never {
  throw new RequestError(`the JSON schema at ${path} ${what}`);
}

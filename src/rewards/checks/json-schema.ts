import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js";
import { z } from "zod";
import { canonicalJson, DataError } from "../../schema/index.ts";
import { withoutFence } from "./format.ts";
import { defineInstruction } from "./instruction.ts";
import { brokenOff, remembered, type Tried, withinLimit } from "./time-limit.ts";

/** How long a schema may take to be compiled, in milliseconds: its validator is code, and of references within one another much of it. */
const compileLimitMs = 5_000;

// Unknown keywords are refused, so that a misspelt one is not passed over; formats are annotations, as in the standard.
const ajv = new Ajv2020({
  strict: true,
  strictTypes: false,
  strictTuples: false,
  strictRequired: false,
  validateFormats: false,
  logger: false,
});

/** Compiles the schema of schemas, once: its time is not that of the first schema of a user's. */
const ready = () => ajv.validateSchema({ $schema: "https://json-schema.org/draft/2020-12/schema" });

interface Compiled extends Tried {
  readonly validate: ValidateFunction | { readonly problem: string };
}

/** The validator of a schema, or what is wrong with it. */
const compile = remembered<Compiled>(256, (key) => {
  const schema = JSON.parse(key) as Record<string, unknown>;
  const tried = { what: "the JSON schema", overruns: 0 };
  ready();
  try {
    const tooLong = () => new DataError(`it takes longer than ${compileLimitMs / 1000} s to be read`);
    return { ...tried, validate: brokenOff(compileLimitMs, () => ajv.compile(schema), tooLong) };
  } catch (error) {
    return { ...tried, validate: { problem: (error as Error).message } };
  } finally {
    ajv.removeSchema(schema);
  }
});

const schema = z.record(z.string(), z.unknown()).superRefine((value, refinement) => {
  const { validate } = compile(canonicalJson(value));
  if ("problem" in validate)
    refinement.addIssue({ code: "custom", message: `is no JSON schema (draft 2020-12): ${validate.problem}` });
});

const jsonSchema = defineInstruction({
  id: "json:schema",
  args: z.strictObject({ schema }),
  follows(text, { schema }) {
    const compiled = compile(canonicalJson(schema));
    return withinLimit(compiled, () => {
      let value: unknown;
      try {
        value = JSON.parse(withoutFence(text));
      } catch {
        return false;
      }
      return (compiled.validate as ValidateFunction)(value);
    });
  },
  describe: ({ schema }) => `is JSON that fits the schema ${canonicalJson(schema)}, in a code fence or without`,
});

export const jsonSchemaInstructions = [jsonSchema];

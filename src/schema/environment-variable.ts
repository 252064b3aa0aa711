import { z } from "zod";

/** The name of an environment variable, where a recipe names one in place of a secret. */
export const environmentVariable = z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/, "the name of an environment variable");

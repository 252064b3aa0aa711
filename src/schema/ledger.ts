import { z } from "zod";
import { environmentVariable } from "./environment-variable.ts";

const address = z
  .string()
  .refine(
    (text) => /^postgres(ql)?:\/\//.test(text) && URL.canParse(text),
    "a URL as postgresql://user@host:5432/database",
  )
  .refine(
    (text) => !URL.canParse(text) || (new URL(text).password === "" && !new URL(text).searchParams.has("password")),
    "a password has no place in a recipe: put it into the environment variable PGPASSWORD",
  );

/**
 * A PostgreSQL database as the ledger, which several machines work on together. Its password is read from the environment
 * (PGPASSWORD, or the URL that `url_env` names) and written nowhere.
 */
export const ledgerSchema = z
  .strictObject({
    url: address.optional(),
    /** The environment variable that holds the URL. */
    url_env: environmentVariable.optional(),
    /** The schema of the database that holds this run; each run has its own. */
    schema: z
      .string()
      .regex(/^[a-z_][a-z0-9_]{0,62}$/, "small letters, digits and '_'")
      .default("amalgam"),
    /** A worker that has not been heard of for so long has lost what it was at to the others. */
    lease_seconds: z.int().min(2).max(86_400).default(60),
  })
  .refine(({ url, url_env }) => (url === undefined) !== (url_env === undefined), "give either `url` or `url_env`");
export type LedgerRecipe = z.infer<typeof ledgerSchema>;

import { z } from "zod";
import { nameSchema } from "./recipe.ts";

/** Fields of a recipe (`wrpo.alpha`) with their values; a map or list replaces the recipe's as a whole, null takes the field out. */
const settings = z.record(z.string().min(1), z.unknown());

/** Several recipes that differ in some fields, to be run and compared. */
export const sweepSchema = z.strictObject({
  name: nameSchema.default("sweep"),
  /** The recipe that they have in common, relative to the sweep's own folder. */
  recipe: z.string().min(1),
  /** Fields that all of them have otherwise than that recipe. */
  set: settings.default({}),
  /** Variants by name, each with the fields that it has otherwise. */
  variants: z.array(z.strictObject({ name: nameSchema, set: settings.default({}) })).default([]),
  /** Fields with the values that they go through: every combination is a variant, after those by name. */
  grid: z.record(z.string().min(1), z.array(z.union([z.number(), z.string(), z.boolean()])).min(1)).default({}),
});

export type Sweep = z.infer<typeof sweepSchema>;

/** A value that a grid goes through. */
export type GridValue = Sweep["grid"][string][number];

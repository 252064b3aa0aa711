import { z } from "zod";
import { count, defineInstruction, phrase, plural } from "./instruction.ts";
import { literal, occurrences } from "./patterns.ts";

const postscript = defineInstruction({
  id: "detectable_content:postscript",
  args: z.strictObject({ postscript_marker: phrase }),
  follows: (text, { postscript_marker }) => markerPattern(postscript_marker.trim()).test(text.toLowerCase()),
  describe: ({ postscript_marker }) => `has a postscript that begins with ${postscript_marker}`,
});

/** The two usual markers may be written with a space after their full stops. */
function markerPattern(marker: string): RegExp {
  if (marker === "P.S.") return /p\.\s?s\./;
  if (marker === "P.P.S") return /p\.\s?p\.\s?s/;
  return new RegExp(literal(marker.toLowerCase()), "u");
}

const placeholders = defineInstruction({
  id: "detectable_content:number_placeholders",
  args: z.strictObject({ num_placeholders: count }),
  follows: (text, { num_placeholders }) => occurrences(text, /\[[^\n]*?\]/g) >= num_placeholders,
  describe: ({ num_placeholders }) => `has at least ${plural(num_placeholders, "placeholder")} in [square brackets]`,
});

export const contentInstructions = [postscript, placeholders];

import { z } from "zod";
import { count, defineInstruction, noArgs, phrase, plural } from "./instruction.ts";
import { literal, occurrences } from "./patterns.ts";

const bulletLists = defineInstruction({
  id: "detectable_format:number_bullet_lists",
  args: z.strictObject({ num_bullets: count }),
  follows: (text, { num_bullets }) => text.split("\n").filter(isBullet).length === num_bullets,
  describe: ({ num_bullets }) => `has exactly ${plural(num_bullets, "bullet point")}`,
});

/** `* item` or `- item`; a line that opens with two asterisks is bold text or a divider. */
function isBullet(line: string): boolean {
  const content = line.trimStart();
  return content.startsWith("-") || /^\*[^*]/.test(content);
}

/** The text without the code fence that it stands in. */
export function withoutFence(text: string): string {
  const fenced = /^(?:```(?:json|Json|JSON)?)?([\s\S]*?)(?:```)?$/.exec(text.trim());
  return fenced?.[1] ?? text;
}

const jsonFormat = defineInstruction({
  id: "detectable_format:json_format",
  args: noArgs,
  follows(text) {
    try {
      JSON.parse(withoutFence(text));
      return true;
    } catch {
      return false;
    }
  },
  describe: () => "is JSON, in a code fence or without",
});

const title = defineInstruction({
  id: "detectable_format:title",
  args: noArgs,
  follows: (text) => text.split("\n").some(hasTitle),
  describe: () => "has a title in <<double angular brackets>>",
});

/** Something other than brackets between the line's first << and its last >>. */
function hasTitle(line: string): boolean {
  const start = line.indexOf("<<");
  const end = line.lastIndexOf(">>");
  if (start < 0 || end < start + 3) return false;
  return line.slice(start, end).replace(/^<+/, "").replace(/>+$/, "").trim() !== "";
}

const multipleSections = defineInstruction({
  id: "detectable_format:multiple_sections",
  args: z.strictObject({ section_spliter: phrase, num_sections: count }),
  follows: (text, { section_spliter, num_sections }) =>
    occurrences(text, new RegExp(`${literal(section_spliter.trim())}\\s?\\p{Nd}`, "gu")) >= num_sections,
  describe: ({ section_spliter, num_sections }) =>
    `has at least ${plural(num_sections, "section")} headed "${section_spliter} 1" and so on`,
});

const highlightedSections = defineInstruction({
  id: "detectable_format:number_highlighted_sections",
  args: z.strictObject({ num_highlights: count }),
  follows(text, { num_highlights }) {
    // Single and double asterisks are searched separately and added up, as in the official code.
    const marked = [...text.matchAll(/\*([^\n*]*)\*/g), ...text.matchAll(/\*\*([^\n*]*)\*\*/g)];
    return marked.filter(([, content]) => content?.trim() !== "").length >= num_highlights;
  },
  describe: ({ num_highlights }) => `has at least ${plural(num_highlights, "highlighted section")} in *asterisks*`,
});

const options = ["My answer is yes.", "My answer is no.", "My answer is maybe."];

const constrainedResponse = defineInstruction({
  id: "detectable_format:constrained_response",
  args: noArgs,
  follows: (text) => options.some((option) => text.includes(option)),
  describe: () => `contains one of ${options.map((option) => `"${option}"`).join(", ")}`,
});

export const formatInstructions = [
  bulletLists,
  jsonFormat,
  title,
  multipleSections,
  highlightedSections,
  constrainedResponse,
];

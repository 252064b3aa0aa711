/**
 * The eight texts of which one must follow an instruction under the loose criterion (Zhou et al. 2023, section 3.1): the
 * text itself, without its first line, without its last line, without both, and each of these without asterisks.
 */
export function looseVariants(text: string): string[] {
  const lines = text.split("\n");
  const trimmed = [lines.slice(1), lines.slice(0, -1), lines.slice(1, -1)].map((kept) => kept.join("\n").trim());
  return [text, ...trimmed].flatMap((variant) => [variant, variant.replaceAll("*", "")]);
}

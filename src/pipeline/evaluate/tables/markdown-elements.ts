import { visible } from "../../report/escape.ts";

/** Any text on one line, with nothing in it that Markdown takes for a sign. */
export const inline = (text: string): string =>
  visible(text)
    .replace(/\s*\n\s*/g, " ")
    .replace(/[\\`*{}[\]<>|#&~]|(?<![\p{L}\p{N}])_|_(?![\p{L}\p{N}])/gu, "\\$&");

/** A table; the first columns hold text, the others figures. */
export function table(heads: readonly string[], rows: readonly (readonly string[])[], textColumns = 1): string {
  const line = (cells: readonly string[]) => `| ${cells.map(inline).join(" | ")} |`;
  return [
    line(heads),
    `|${heads.map((_, at) => (at < textColumns ? " --- |" : " ---: |")).join("")}`,
    ...rows.map(line),
  ].join("\n");
}

import type { Language } from "../sandbox/index.ts";
import { fenceNames } from "./tests.ts";

/** Which of a response's blocks are its code; `whole`: the response is code as it stands. */
export type CodeFrom = "last" | "first" | "all" | "whole";

interface Block {
  readonly language: string;
  readonly code: string;
}

/**
 * The code of a response: of its fenced blocks those of the language, or those that name none where no other is; of a response without any
 * block, all of it. Undefined where all blocks are of other languages.
 */
export function codeOf(text: string, language: Language, from: CodeFrom): string | undefined {
  if (from === "whole") return text;
  const blocks = fencedBlocks(text);
  if (blocks.length === 0) return text;
  const named = blocks.filter((block) => fenceNames[language].includes(block.language));
  const fitting = (named.length > 0 ? named : blocks.filter((block) => block.language === "")).map(({ code }) => code);
  if (fitting.length === 0) return undefined;
  if (from === "all") return fitting.join("\n");
  return from === "first" ? fitting[0] : fitting.at(-1);
}

const opening = /^([ \t]*)(`{3,}|~{3,})[ \t]*([^\s`]*)[^`]*$/;

/** Blocks between fences, as CommonMark has them; one that is never closed goes on to the end. */
function fencedBlocks(text: string): Block[] {
  const blocks: Block[] = [];
  let open: { indent: string; fence: string; language: string; lines: string[] } | undefined;
  const close = (): void => {
    if (open !== undefined) blocks.push({ language: open.language, code: open.lines.join("\n") });
    open = undefined;
  };
  for (const line of text.split(/\r?\n/)) {
    if (open === undefined) {
      const [, indent = "", fence, language = ""] = opening.exec(line) ?? [];
      if (fence !== undefined) open = { indent, fence, language: language.toLowerCase(), lines: [] };
      continue;
    }
    const end = line.trim();
    if (end.startsWith(open.fence) && [...end].every((sign) => sign === open!.fence[0])) close();
    else open.lines.push(line.startsWith(open.indent) ? line.slice(open.indent.length) : line);
  }
  close();
  return blocks;
}

/** An answer without the thoughts that stood before it. */
export type Apart = { readonly text: string; readonly reasoning?: string } | { readonly fault: string };

const opening = "<think>";
const closing = "</think>";

/**
 * Parts what a model thought, between `<think>` and `</think>`, from what it then said; a template may have written the
 * opening mark already. Without the closing mark all of it is thought, and there is no answer.
 */
export function thinkingApart(content: string): Apart {
  const begins = content.trimStart().startsWith(opening);
  const end = content.indexOf(closing);
  if (end === -1) return begins ? { fault: "the model's thoughts have no end" } : { text: content };
  const thought = content.slice(0, end).trimStart();
  const text = content.slice(end + closing.length).replace(/^\s+/, "");
  const reasoning = (begins ? thought.slice(opening.length) : thought).trim();
  return reasoning === "" ? { text } : { text, reasoning };
}

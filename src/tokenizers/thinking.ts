/** An answer without the thoughts that stood before it. */
export type Apart = { readonly text: string; readonly reasoning?: string } | { readonly fault: string };

const opening = "<think>";
const closing = "</think>";

/**
 * Parts what a model thought, between `<think>` and `</think>`, from what it then said; a template may have written the
 * opening mark already, and `begun` says that it has. Without the closing mark all of it is thought, and there is no answer.
 */
export function thinkingApart(content: string, begun = false): Apart {
  const begins = content.trimStart().startsWith(opening);
  const end = content.indexOf(closing);
  if (end === -1) return begins || begun ? { fault: "the model's thoughts have no end" } : { text: content };
  const thought = content.slice(0, end).trimStart();
  const text = content.slice(end + closing.length).replace(/^\s+/, "");
  const reasoning = (begins ? thought.slice(opening.length) : thought).trim();
  return reasoning === "" ? { text } : { text, reasoning };
}

/** Whether a conversation as rendered ends with the mark that begins thoughts. */
export const beginsThinking = (rendered: string): boolean => rendered.trimEnd().endsWith(opening);

/** Whether the text has the mark that ends thoughts. */
export const endsThinking = (text: string): boolean => text.includes(closing);

/** Whether a chat template knows of thoughts. */
export const knowsThinking = (template: string | undefined): boolean =>
  template?.includes(closing) === true || template?.includes(opening) === true;

/** What Python's `str.strip` takes for white space; JavaScript's own differs in a few characters. */
const space = "[\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]";
const around = new RegExp(`^${space}+|${space}+$`, "g");

/** Python's `str.strip()`. */
export const strip = (text: string): string => text.replace(around, "");

/** Python's `str.capitalize()`: the first character in upper case, all others in lower case. */
export function capitalize(text: string): string {
  const [first = ""] = text;
  // Of a character that has two in upper case, only the first of them stays so.
  const [head = "", ...rest] = first.toUpperCase();
  return head + rest.join("").toLowerCase() + text.slice(first.length).toLowerCase();
}

/*
 * Python's regular expressions, in which the official checks are written, and JavaScript's differ in `\w`, `\d` and
 * `\b` (Unicode there, ASCII here). These pieces give Python's meaning; they need the `u` flag.
 */

/** Python's `\w`: letters, numbers of every kind and the underscore; combining marks are no word characters. */
export const wordCharacter = "[\\p{L}\\p{N}_]";

/** Python's `\b`: a word character on exactly one side. */
export const wordBoundary = `(?:(?<=${wordCharacter})(?!${wordCharacter})|(?<!${wordCharacter})(?=${wordCharacter}))`;

/** A pattern that matches the text itself. */
export function literal(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&");
}

/** How often the pattern occurs, occurrences not overlapping. `pattern` has the `g` flag. */
export function occurrences(text: string, pattern: RegExp): number {
  let found = 0;
  for (const _ of text.matchAll(pattern)) found++;
  return found;
}

/** Control characters (but tab and newline), half surrogate pairs, and the marks that turn the direction of text around. */
const invisible =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for.
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\ufffe\uffff]|\p{Surrogate}/gu;

/**
 * Text of anybody, safe to show: control characters, half surrogate pairs and marks of direction by their number
 * (`\u{1b}`). A terminal obeys no sequence in it, and a page is not turned around.
 */
export const visible = (text: string): string =>
  text.replace(/\r\n/g, "\n").replace(invisible, (character) => `\\u{${character.codePointAt(0)!.toString(16)}}`);

const entities: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
  "`": "&#96;",
};

/** Text as HTML, in an element or in a quoted attribute. */
export const escapeHtml = (text: string): string =>
  visible(text).replace(/[&<>"'`]/g, (character) => entities[character]!);

/** A piece of the page: made by `html` and the figures only, so that no text gets in unescaped. */
export interface Html {
  readonly html: string;
}

/** Template tag: pieces of the page stay as they are, every other value is escaped. */
export function html(
  literals: TemplateStringsArray,
  ...values: readonly (Html | readonly Html[] | string | number)[]
): Html {
  return { html: literals.reduce((text, literal, index) => text + piece(values[index - 1]!) + literal) };
}

function piece(value: Html | readonly Html[] | string | number): string {
  if (typeof value === "string" || typeof value === "number") return escapeHtml(String(value));
  return "html" in value ? value.html : value.map((one) => one.html).join("");
}

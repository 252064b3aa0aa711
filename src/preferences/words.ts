/** A sign of a script that puts no spaces between words counts as one. */
const word =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}]|(?:(?![\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}])[\p{L}\p{N}\p{M}])+/gu;

/** The words of a text in lower case, without punctuation: what two texts are compared by. */
export const wordsOf = (text: string): string[] => text.normalize("NFKC").toLowerCase().match(word) ?? [];

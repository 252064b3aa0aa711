/** What may be wrong with a response, with words for people. */
export const flagWords = {
  empty: "no text, or white space only",
  truncated: "cut off by the token limit",
  repeated: "says the same again and again",
  mixed: "letters of a script that the prompt does not have",
  template: "a token of a chat template inside the text",
} as const;
export type Flag = keyof typeof flagWords;

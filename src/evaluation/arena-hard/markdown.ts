/** What of an answer is style, as arena-hard-auto keeps it with the answer. */
export interface MarkdownCounts {
  readonly header_count: Readonly<Record<"h1" | "h2" | "h3" | "h4" | "h5" | "h6", number>>;
  readonly list_count: Readonly<Record<"ordered" | "unordered", number>>;
  readonly bold_count: Readonly<Record<"**" | "__", number>>;
}

/** White space as Python's regular expressions have it; JavaScript's differs in six signs. */
const space = "[\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]";
/** Python's lines end at \n alone. */
const lineStart = "(?<![^\\n])";
const countOf = (text: string, pattern: string): number => [...text.matchAll(new RegExp(pattern, "gu"))].length;

/** Headers, list items and bold words outside of code blocks, counted as `add_markdown_info.py` of arena-hard-auto does. */
export function markdownCounts(answer: string): MarkdownCounts {
  const text = withoutCode(answer);
  const headers = (level: number) => countOf(text, `${lineStart}#{${level}}${space}`);
  return {
    header_count: { h1: headers(1), h2: headers(2), h3: headers(3), h4: headers(4), h5: headers(5), h6: headers(6) },
    list_count: {
      ordered: countOf(text, `${lineStart}${space}*\\p{Nd}+\\.${space}`),
      unordered: countOf(text, `${lineStart}${space}*[-*+]${space}`),
    },
    bold_count: { "**": countOf(text, "\\*\\*[^*\\n]+\\*\\*"), __: countOf(text, "__[^_\\n]+__") },
  };
}

/** The same as three sums: headers, list items, bold words. */
export function markdownStyle(answer: string): readonly [headers: number, lists: number, bold: number] {
  const { header_count, list_count, bold_count } = markdownCounts(answer);
  const sum = (counts: Readonly<Record<string, number>>) => Object.values(counts).reduce((a, b) => a + b, 0);
  return [sum(header_count), sum(list_count), sum(bold_count)];
}

/** What stands in a code block is taken out wherever it stands: so does arena-hard-auto. */
function withoutCode(answer: string): string {
  let text = answer;
  for (const [, block] of answer.matchAll(/```([^`]*)```/g)) text = text.replaceAll(block!, "");
  return text;
}

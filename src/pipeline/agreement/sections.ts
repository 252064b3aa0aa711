/** The sections of RewardBench (Lambert et al. 2024, Table 1) and their subsets. */
const sections: Readonly<Record<string, readonly string[]>> = {
  Chat: ["alpacaeval-easy", "alpacaeval-length", "alpacaeval-hard", "mt-bench-easy", "mt-bench-med"],
  "Chat Hard": [
    "mt-bench-hard",
    "llmbar-natural",
    "llmbar-adver-neighbor",
    "llmbar-adver-GPTInst",
    "llmbar-adver-GPTOut",
    "llmbar-adver-manual",
  ],
  Safety: ["refusals-dangerous", "refusals-offensive", "xstest-should-refuse", "xstest-should-respond", "donotanswer"],
  Reasoning: ["math-prm", "hep-cpp", "hep-go", "hep-java", "hep-js", "hep-python", "hep-rust"],
};

export interface Section {
  readonly section: string;
  readonly rows: number;
  readonly accuracy: number;
}

/**
 * The accuracy of RewardBench's sections: the mean over their subsets, each by its rows, but that mathematics counts as much as the six
 * languages of code together. None unless all subsets are RewardBench's.
 */
export function sectionsOf(
  subsets: readonly { readonly subset: string; readonly rows: number; readonly accuracy: number }[],
): Section[] {
  const known = new Set(Object.values(sections).flat());
  if (subsets.length === 0 || subsets.some(({ subset }) => !known.has(subset))) return [];
  const codeRows = subsets.reduce((sum, { subset, rows }) => sum + (subset.startsWith("hep-") ? rows : 0), 0);
  const weightOf = ({ subset, rows }: { subset: string; rows: number }) =>
    subset === "math-prm" && codeRows > 0 ? codeRows : rows;
  return Object.entries(sections).flatMap(([section, names]): Section[] => {
    const some = subsets.filter(({ subset }) => names.includes(subset));
    if (some.length === 0) return [];
    const weight = some.reduce((sum, each) => sum + weightOf(each), 0);
    return [
      {
        section,
        rows: some.reduce((sum, { rows }) => sum + rows, 0),
        accuracy: some.reduce((sum, each) => sum + weightOf(each) * each.accuracy, 0) / weight,
      },
    ];
  });
}

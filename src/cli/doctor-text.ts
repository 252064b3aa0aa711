import type { Finding } from "../pipeline/index.ts";

const marks = { ok: "ok      ", warning: "warning ", problem: "PROBLEM " } as const;

/** One finding as `amalgam doctor` prints it. */
export function findingText({ what, outcome, detail, hint }: Finding): string {
  const indent = " ".repeat(marks.ok.length);
  const lines = [`${what}: ${detail}`, ...(hint === undefined ? [] : [hint])].flatMap((text) => text.split("\n"));
  return lines.map((line, index) => `${index === 0 ? marks[outcome] : `${indent}  `}${line}`).join("\n");
}

export function doctorSummary(findings: readonly Finding[]): string {
  const count = (outcome: Finding["outcome"]) => findings.filter((finding) => finding.outcome === outcome).length;
  const [problems, warnings] = [count("problem"), count("warning")];
  if (problems === 0 && warnings === 0) return "All is well.";
  const words = (n: number, word: string) => `${n} ${word}${n === 1 ? "" : "s"}`;
  return `${words(problems, "problem")}, ${words(warnings, "warning")}.`;
}

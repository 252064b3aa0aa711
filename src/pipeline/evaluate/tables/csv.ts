import type { Leaderboard } from "../../../evaluation/index.ts";

const heads = [
  "suite",
  "benchmark",
  "kind",
  "judge",
  "official",
  "model",
  "column",
  "title",
  "main",
  "unit",
  "value",
  "standard_error",
  "low",
  "high",
  "questions",
  "failed",
] as const;

/** A row for each model, benchmark and column, by RFC 4180. A figure that is not there leaves its fields empty. */
export function leaderboardCsv({ name, models, benchmarks }: Leaderboard): string {
  const rows = models.flatMap((model) =>
    benchmarks.flatMap(({ benchmark, kind, judge, official, columns, models: measured }) => {
      const own = measured.find((each) => each.model === model);
      return columns.map(({ key, title, unit }, at) => {
        const figure = own?.figures[key];
        const [low, high] = figure?.interval ?? [];
        return [
          ...[name, benchmark, kind, judge, official, model, key, title, at === 0, unit],
          ...[figure?.value, figure?.standardError, low, high, own?.questions, own?.failed],
        ];
      });
    }),
  );
  return [heads, ...rows].map((row) => `${row.map(field).join(",")}\r\n`).join("");
}

function field(value: string | number | boolean | null | undefined): string {
  const text = String(value ?? "");
  return /[",\r\n]|^\s|\s$/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

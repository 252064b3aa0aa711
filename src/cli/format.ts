/** 75 -> "1 min 15 s"; always two units at most. */
export function formatSeconds(seconds: number): string {
  if (!Number.isFinite(seconds)) return "?";
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  const [days, hours, minutes] = [
    Math.floor(whole / 86_400),
    Math.floor(whole / 3600) % 24,
    Math.floor(whole / 60) % 60,
  ];
  if (days > 0) return `${days} d ${hours} h`;
  if (hours > 0) return `${hours} h ${minutes} min`;
  return minutes > 0 ? `${minutes} min ${whole % 60} s` : `${whole} s`;
}

/** Items a second, in the unit that reads best: 12.3/s, 4.5/min, 2.1/h. */
export function formatRate(perSecond: number): string {
  if (perSecond >= 1) return `${perSecond >= 100 ? Math.round(perSecond) : perSecond.toFixed(1)}/s`;
  return perSecond * 60 >= 1 ? `${(perSecond * 60).toFixed(1)}/min` : `${(perSecond * 3600).toFixed(1)}/h`;
}

/** A figure with four significant digits. */
export function formatFigure(value: number): string {
  if (Number.isInteger(value)) return String(value);
  const size = Math.abs(value);
  return size >= 1e-3 && size < 1e6 ? String(Number(value.toPrecision(4))) : value.toExponential(2);
}

export const formatShare = (share: number): string => `${(share * 100).toFixed(1)} %`;

/** A table whose columns are as wide as their widest cell; columns of numbers stand at the right. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const widths = head.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]!.length)));
  const numeric = head.map((_, column) => rows.every((row) => /^[\d.\-+?]|^$/.test(row[column]!)));
  const line = (row: readonly string[]) =>
    row
      .map((cell, column) => (numeric[column] ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!)))
      .join("  ")
      .trimEnd();
  return [line(head), ...rows.map(line)];
}

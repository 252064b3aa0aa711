/** A figure with about three digits that matter: 0.412, 12.3, 1,234, 7.0e-6. */
export function number(value: number): string {
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e9)) return value.toExponential(1);
  if (size < 10) return trimmed(value.toFixed(3));
  if (size < 1000) return trimmed(value.toFixed(1));
  return integer(value);
}

/** As `number`, with three decimals kept and the sign always shown. */
export const signed = (value: number): string => `${value < 0 ? "-" : "+"}${reward(Math.abs(value))}`;

/** A reward, with three decimals. */
export const reward = (value: number): string => (Math.abs(value) >= 1000 ? integer(value) : value.toFixed(3));

export const integer = (value: number): string => Math.round(value).toLocaleString("en-US");

/** A share as per cent; undefined shares (nothing of nothing) are a dash. */
export const percent = (part: number, whole = 1): string =>
  whole === 0 ? "\u2013" : `${((100 * part) / whole).toFixed(1)} %`;

export const probability = (value: number): string => (value < 0.001 ? value.toExponential(1) : value.toFixed(3));

export const interval = (
  { low, high }: { readonly low: number; readonly high: number },
  show: (value: number) => string = reward,
): string => `${show(low)} to ${show(high)}`;

/** 0.4 s, 12 s, 3 min 20 s, 2 h 05 min. */
export function duration(seconds: number): string {
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  const two = (value: number) => String(value).padStart(2, "0");
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`;
  const minutes = Math.round(seconds / 60);
  return `${Math.floor(minutes / 60)} h ${two(minutes % 60)} min`;
}

/** 2026-01-02 03:04 UTC. */
export const date = (iso: string): string => `${iso.slice(0, 10)} ${iso.slice(11, 16)} UTC`;

export const shortened = (text: string, length: number): string =>
  [...text].length <= length ? text : `${[...text].slice(0, length - 1).join("")}\u2026`;

/** "1 prompt", "2 prompts". */
export const counted = (count: number, thing: string): string => `${integer(count)} ${thing}${count === 1 ? "" : "s"}`;

const trimmed = (text: string): string => text.replace(/\.?0+$/, "");

const shortestRun = 8;
const shortestKept = 12;
const mask = "[secret]";

export interface Secrets {
  /** The text with every secret replaced, whole or in part, as it stands or encoded. Scrub before shortening. */
  scrub(text: string): string;
  /** Whether the text holds a whole secret that is long enough to be no ordinary word. */
  holdsSecret(text: string): boolean;
}

/** What must never be shown or stored. */
export function secretsOf(values: readonly string[]): Secrets {
  const plain = [...new Set(values.filter((value) => value !== ""))];
  const forms = [...new Set(plain.flatMap((value) => [value, encodeURIComponent(value), base64(value)]))].map((form) =>
    form.toLowerCase(),
  );
  return {
    scrub(text) {
      let clean = "";
      for (let at = 0; at < text.length; ) {
        const length = Math.max(0, ...forms.map((form) => secretRun(text, at, form)));
        clean += length === 0 ? text[at] : mask;
        at += Math.max(1, length);
      }
      // Servers show a wrong key with its middle starred out; what is left of it is still part of a key.
      return clean.replace(/[^\s"']*\*{3,}[^\s"']*/g, mask);
    },
    holdsSecret: (text) => plain.some((value) => value.length >= shortestKept && text.includes(value)),
  };
}

const base64 = (value: string): string => Buffer.from(value).toString("base64").replace(/=+$/, "");

/** How many characters at `at` are the whole secret, or at least `shortestRun` characters out of it; else 0. */
function secretRun(text: string, at: number, secret: string): number {
  const least = Math.min(shortestRun, secret.length);
  let length = 0;
  const rest = text.slice(at, at + secret.length).toLowerCase();
  for (let tried = least; tried <= rest.length && secret.includes(rest.slice(0, tried)); tried++) length = tried;
  return length;
}

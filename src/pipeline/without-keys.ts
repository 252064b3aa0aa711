/** A recipe whose addresses are without user, password and query, which may hold keys. */
export function withoutKeys(value: unknown): unknown {
  if (typeof value === "string") {
    if (!/^https?:/.test(value) || !URL.canParse(value)) return value;
    const { origin, pathname } = new URL(value);
    return `${origin}${pathname}`;
  }
  if (Array.isArray(value)) return value.map(withoutKeys);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, withoutKeys(inner)]));
}

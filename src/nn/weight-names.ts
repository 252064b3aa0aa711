/**
 * Whether a weight's name has the components of `pattern` somewhere, whole and in order: `embed_tokens`, `layers.0`,
 * `self_attn.q_proj`. `*` stands for any part of a component: `layers.*.mlp`, `*norm`.
 */
export function nameMatcher(pattern: string): (name: string) => boolean {
  const literal = (text: string) => text.replace(/[^\w]/g, "\\$&");
  const inner = pattern.split("*").map(literal).join("[^.]*");
  const matched = new RegExp(`(^|\\.)${inner}(\\.|$)`);
  return (name) => matched.test(name);
}

/** Names with their layer numbers as `*`, each once: what a person can read of a model's weights. */
export const withoutNumbers = (names: Iterable<string>): string[] => [
  ...new Set([...names].map((name) => name.replace(/(?<=\.)\d+(?=\.)/g, "*"))),
];

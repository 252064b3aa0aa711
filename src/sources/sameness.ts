/** Prompts of which two responses are compared before a verdict. */
const leastPrompts = 4;
/** Shorter texts may well be the same. */
const leastLength = 40;

/**
 * Watches whether a server samples at all: hears the texts of responses that were asked for apart, with seeds of their
 * own, and says once, by `true`, when the first two to each of several prompts have been the same.
 */
export function samenessWatch(): (promptId: string, text: string) => boolean {
  let first = new Map<string, string>();
  let alike = 0;
  let settled = false;
  return (promptId, text) => {
    if (settled || text.length < leastLength) return false;
    const other = first.get(promptId);
    if (other === undefined) {
      first.set(promptId, text);
      return false;
    }
    first.delete(promptId);
    alike += 1;
    settled = other !== text || alike >= leastPrompts;
    if (settled) first = new Map();
    return settled && other === text;
  };
}

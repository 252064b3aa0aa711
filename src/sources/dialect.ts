import type { Dialect } from "./formats/format.ts";

/** What a server was found not to take. */
export interface LearntDialect {
  current(): Dialect;
  /**
   * Whether the call is to be made again in another way, as the server refused `field` with this reason. `sent` is how
   * the call was written that was refused: a way that was tried already is not tried again.
   */
  adapt(field: string, reason: string, sent: Dialect): boolean;
}

/** How this server wants the fields: what differs is learnt from its first refusal, and `notice` hears of it. */
export function learntDialect(notice: (text: string) => void): LearntDialect {
  let dialect: Dialect = { tokensField: "max_tokens", seed: true, streamUsage: true };
  /** Another call may have learnt it meanwhile. */
  const learn = (change: Partial<Dialect>, text: string): true => {
    const before = dialect;
    dialect = { ...dialect, ...change };
    if (JSON.stringify(before) !== JSON.stringify(dialect)) notice(text);
    return true;
  };
  return {
    current: () => dialect,
    adapt(field, reason, sent) {
      if (field === "max_tokens" && sent.tokensField === "max_tokens" && reason.includes("max_completion_tokens"))
        return learn({ tokensField: "max_completion_tokens" }, "takes max_completion_tokens in place of max_tokens");
      if (field === "seed" && sent.seed)
        return learn({ seed: false }, "takes no seed: its responses can't be drawn again the same");
      if (field === "stream_options" && sent.streamUsage)
        return learn({ streamUsage: false }, "takes no stream_options: its streams may not tell their tokens");
      return false;
    },
  };
}

import type { WireAddress } from "./formats/format.ts";

/** Calls for scores go to the URL as it stands, or to a page below it. */
export const scoringAddress = (path = ""): WireAddress => ({
  path,
  keyHeader: { name: "authorization", before: "Bearer " },
});

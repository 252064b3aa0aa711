import { expect, test } from "vitest";
import { withoutKeys } from "./without-keys.ts";

test("addresses lose user, password and query wherever they stand; all else stays", () => {
  const recipe = {
    name: "https is a word",
    sources: [{ endpoint: { url: "https://me:secret@example.org:8443/v1?key=secret#secret", retries: 2 } }],
    limit: null,
  };
  expect(withoutKeys(recipe)).toEqual({
    name: "https is a word",
    sources: [{ endpoint: { url: "https://example.org:8443/v1", retries: 2 } }],
    limit: null,
  });
});

import { describe, expect, test } from "vitest";
import { EnvironmentError } from "../schema/index.ts";
import { ApiError } from "./api-error.ts";
import { keysFrom } from "./keys.ts";

const environment = { ONE: "first-key-0123456789", TWO: "second-key-0123456789", SHORT: "abc", EMPTY: " " };

describe("keys", () => {
  test("open by any of them, and say which", () => {
    const keys = keysFrom(["ONE", "TWO"], environment);
    expect(keys.nameOf("Bearer first-key-0123456789")).toBe("ONE");
    expect(keys.nameOf("bearer  second-key-0123456789 ")).toBe("TWO");
  });

  test("nothing else opens", () => {
    const keys = keysFrom(["ONE"], environment);
    for (const header of [undefined, "", "Bearer ", "Bearer first-key-012345678", "first-key-0123456789", "Basic x"]) {
      expect(() => keys.nameOf(header)).toThrow(ApiError);
      try {
        keys.nameOf(header);
      } catch (error) {
        expect(error).toMatchObject({ status: 401, code: "invalid_api_key" });
        expect((error as ApiError).message).not.toContain("first-key");
      }
    }
  });

  test("a variable that is missing or holds too little is named, its value is not", () => {
    for (const name of ["SHORT", "EMPTY", "MISSING"]) {
      expect(() => keysFrom([name], environment)).toThrow(EnvironmentError);
      expect(() => keysFrom([name], environment)).toThrow(name);
    }
    expect(() => keysFrom(["SHORT"], environment)).not.toThrow("abc");
  });
});

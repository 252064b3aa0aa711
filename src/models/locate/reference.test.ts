import { describe, expect, test } from "vitest";
import { ModelError } from "../../schema/index.ts";
import { hubLabel, parseReference } from "./reference.ts";

const hub = (id: string, file: string | undefined, revision: string) => ({ kind: "hub", id, file, revision });

describe("parseReference", () => {
  test.each([
    ["./models/a", { kind: "path", path: "./models/a" }],
    ["/models/a.gguf", { kind: "path", path: "/models/a.gguf" }],
    ["~/a", { kind: "path", path: "~/a" }],
    ["a.gguf", { kind: "path", path: "a.gguf" }],
    ["models/a.gguf", { kind: "path", path: "models/a.gguf" }],
    ["one/two/three", { kind: "path", path: "one/two/three" }],
    ["package:gemma-3-270m", { kind: "package", name: "gemma-3-270m" }],
    [
      "Qwen/Qwen2.5-0.5B",
      { kind: "either", path: "Qwen/Qwen2.5-0.5B", hub: hub("Qwen/Qwen2.5-0.5B", undefined, "main") },
    ],
    ["a/b@v1.0", hub("a/b", undefined, "v1.0")],
    ["a/b@refs/pr/1", hub("a/b", undefined, "refs/pr/1")],
    ["a/b:q/x.Q4_0.gguf", hub("a/b", "q/x.Q4_0.gguf", "main")],
    ["a/b:x.gguf@v1", hub("a/b", "x.gguf", "v1")],
    ["a/b@v1:x.gguf", hub("a/b", "x.gguf", "v1")],
  ])("%s", (reference, expected) => {
    expect(parseReference(reference)).toEqual(expected);
  });

  test.each(["", "  ", "a/b:model.safetensors", "a/b:../x.gguf", "a/b@v1:x.gguf@v2", "a/b@../../x", "a/b@/etc"])(
    "%j is refused",
    (reference) => {
      expect(() => parseReference(reference)).toThrow(ModelError);
    },
  );

  test("hubLabel gives back what was written", () => {
    for (const reference of ["a/b@v1", "a/b:x.gguf", "a/b:x.gguf@v1"]) {
      const parsed = parseReference(reference);
      if (parsed.kind !== "hub") throw new Error(reference);
      expect(hubLabel(parsed)).toBe(reference);
    }
  });
});

import { expect, test } from "vitest";
import { nameMatcher, withoutNumbers } from "./index.ts";

const names = [
  "model.embed_tokens.weight",
  "model.layers.1.self_attn.q_proj.weight",
  "model.layers.1.self_attn.q_proj.bias",
  "model.layers.1.input_layernorm.weight",
  "model.layers.10.mlp.gate_proj.weight",
  "model.norm.weight",
];

test.each([
  ["embed_tokens", [0]],
  ["model", [0, 1, 2, 3, 4, 5]],
  ["layers.1", [1, 2, 3]],
  ["layers.*.mlp", [4]],
  ["layers.1*", [1, 2, 3, 4]],
  ["*norm", [3, 5]],
  ["norm", [5]],
  ["q_proj.bias", [2]],
  ["bias", [2]],
  ["*_proj.weight", [1, 4]],
  ["embed", []],
  ["layers.self_attn", []],
  ["model.*.weight", [0, 5]],
])("%s matches whole components, wherever they stand", (pattern, expected) => {
  const matches = nameMatcher(pattern);
  expect([...names.keys()].filter((k) => matches(names[k]!))).toEqual(expected);
});

test("layers of one kind are shown once", () => {
  expect(withoutNumbers(["a.0.b", "a.11.b", "w1.0.x", "c"])).toEqual(["a.*.b", "w1.*.x", "c"]);
});

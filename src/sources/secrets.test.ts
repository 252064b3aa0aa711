import { expect, test } from "vitest";
import { secretsOf } from "./secrets.ts";

const key = "sk-Xy93/fLq+0bbZ-7Tno2";
const { scrub, holdsSecret } = secretsOf([key, "", "pw"]);

test.each([
  ["as it stands", key],
  ["in capitals", key.toUpperCase()],
  ["URL-encoded", encodeURIComponent(key)],
  ["in base64", Buffer.from(key).toString("base64").replace(/=+$/, "")],
  ["its beginning", key.slice(0, 12)],
  ["its end", key.slice(-9)],
  ["starred out", "sk-X****************o2"],
])("a secret goes, %s", (_, form) => {
  expect(scrub(`wrong key '${form}' given`)).toBe("wrong key '[secret]' given");
});

test("a short secret goes whole", () => {
  expect(scrub("password pw is wrong")).toBe("password [secret] is wrong");
});

test("other text stays", () => {
  const text = "The model `m` has **two** modes — sk-1 and naïve 😀";
  expect(scrub(text)).toBe(text);
  expect(secretsOf([]).scrub(text)).toBe(text);
});

test("only a whole long secret makes an answer unfit to keep", () => {
  expect(holdsSecret(`it is ${key}.`)).toBe(true);
  expect(holdsSecret(`it is ${key.slice(1)}.`)).toBe(false);
  expect(holdsSecret("pw")).toBe(false);
});

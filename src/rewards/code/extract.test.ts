import { expect, test } from "vitest";
import { codeOf } from "./extract.ts";

const two = "First:\n```python\nx = 1\n```\nand, in JavaScript,\n~~~js\nlet y;\n~~~\nthen\n```py\nprint(x)\n```\nDone.";

test("the last, the first or all blocks of the language, under any of its names", () => {
  expect(codeOf(two, "python", "last")).toBe("print(x)");
  expect(codeOf(two, "python", "first")).toBe("x = 1");
  expect(codeOf(two, "python", "all")).toBe("x = 1\nprint(x)");
  expect(codeOf(two, "javascript", "last")).toBe("let y;");
  expect(codeOf(two, "python", "whole")).toBe(two);
});

test("blocks without a name count where none has the language's; those of others are no code", () => {
  expect(codeOf("```\nx = 1\n```", "python", "last")).toBe("x = 1");
  expect(codeOf("```\nx = 1\n```\n```python\ny = 2\n```", "python", "first")).toBe("y = 2");
  expect(codeOf("```bash\npip install it\n```", "python", "last")).toBeUndefined();
});

test("a response without blocks is code as a whole", () => {
  expect(codeOf("def f():\n  return 1", "python", "last")).toBe("def f():\n  return 1");
});

test("fences within lists, longer fences around shorter ones, and one that was cut off", () => {
  expect(codeOf("1. So:\n   ```python\n   def f():\n     return 1\n   ```", "python", "last")).toBe(
    "def f():\n  return 1",
  );
  expect(codeOf("````python\ns = '''\n```\n'''\n````", "python", "last")).toBe("s = '''\n```\n'''");
  expect(codeOf("```python\r\nx = 1\r\ny = ", "python", "last")).toBe("x = 1\ny = ");
  expect(codeOf("```Python title=a.py\nx = 1\n```", "python", "last")).toBe("x = 1");
});

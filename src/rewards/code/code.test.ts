import { afterAll, describe, expect, test } from "vitest";
import type { CheckSpec, ScorePart } from "../../schema/index.ts";
import { validateChecks } from "../checks/index.ts";
import { checksComponent } from "../checks-component.ts";
import type { ComponentOutcome } from "../component.ts";
import { checkCode, refuseUnrunTests } from "./check.ts";
import { type CodeRecipe, codeComponent } from "./index.ts";
import { hasBubblewrap } from "./testing/bubblewrap.ts";

const recipe: CodeRecipe = {
  kind: "code",
  score: "share",
  code_from: "last",
  timeout_seconds: 20,
  memory_mb: 256,
  weight: 1,
};
const opened: ReturnType<typeof codeComponent>[] = [];
const open = (changes: Partial<CodeRecipe> = {}) => {
  const component = codeComponent({ ...recipe, ...changes });
  opened.push(component);
  return component;
};
afterAll(() => Promise.all(opened.map((component) => component.close())));

const promptWith = (...checks: CheckSpec[]) => ({
  id: "p",
  messages: [{ role: "user" as const, content: "?" }],
  checks,
});
const tests = (args: Record<string, unknown>): CheckSpec => ({ id: "code:tests", args });
const fenced = (language: string, code: string) => `Here it is:\n\`\`\`${language}\n${code}\n\`\`\`\n`;

async function partsOf(
  responses: readonly (readonly [CheckSpec, string])[],
  component = open(),
): Promise<(readonly ScorePart[])[]> {
  const requests = responses.map(([check, text]) => ({ responseKey: "k", prompt: promptWith(check), text }));
  const outcomes: ComponentOutcome[] = [];
  for await (const outcome of component.rate(requests, new AbortController().signal)) outcomes[outcome.index] = outcome;
  return outcomes.map((outcome) => ("parts" in outcome ? outcome.parts : []));
}

const value = (value: number, more: Record<string, number> = {}): ScorePart[] => [
  { name: "code", value, weight: 1 },
  ...Object.entries(more).map(([name, count]) => ({ name: `code:${name}`, value: count, weight: 0 })),
];

describe.runIf(hasBubblewrap)("the share of tests passed, and how the others failed", () => {
  const add = tests({ language: "python", tests: ["assert add(1, 2) == 3", "assert add(-1, 1) == 0"] });

  test("in Python: assertions, exceptions, syntax, an early end, other languages", async () => {
    expect(
      await partsOf([
        [add, fenced("python", "def add(a, b):\n  return a + b")],
        [add, fenced("python", "def add(a, b):\n  return abs(a) + b")],
        [add, fenced("python", "def sum(a, b):\n  return a + b")],
        [add, fenced("python", "def add(a, b) return a + b")],
        [add, fenced("python", "def add(a, b):\n  return 0\nexit()")],
        [add, fenced("rust", "fn add() {}")],
        [add, "def add(a, b): return a + b"],
      ]),
    ).toEqual([
      value(1),
      value(0.5, { wrong: 1 }),
      value(0, { exception: 2 }),
      value(0, { exception: 2 }),
      value(0, { exception: 2 }),
      value(0, { no_code: 2 }),
      value(1),
    ]);
  });

  test("in JavaScript: scripts, modules, exports, promises", async () => {
    const check = tests({
      language: "javascript",
      tests: ["assert.equal(await add(1, 2), 3)", "console.assert((await add(-1, 1)) === 0)"],
    });
    expect(
      await partsOf([
        [check, fenced("js", "const add = (a, b) => a + b;")],
        [check, fenced("javascript", "export async function add(a, b) { return Math.abs(a) + b; }")],
        [check, fenced("js", "module.exports = { add: (a, b) => a + b };")],
        [check, fenced("js", "import { ok } from 'node:assert';\nfunction add(a, b) { ok(a > 0); return a + b; }")],
        [check, fenced("js", "function add(a, b) {")],
        [check, fenced("js", "const add = () => new Promise(() => {});")],
      ]),
    ).toEqual([
      value(1),
      value(0.5, { wrong: 1 }),
      value(1),
      value(0.5, { wrong: 1 }),
      value(0, { exception: 2 }),
      value(0, { exception: 2 }),
    ]);
  });

  test("of programs that read and write, in both languages", async () => {
    const cases = [
      { stdin: "2 3\n", stdout: "5\n" },
      { stdin: "4 4\n", stdout: "8" },
    ];
    const python = tests({ language: "python", tests: cases });
    const javascript = tests({ language: "javascript", tests: cases });
    expect(
      await partsOf([
        [
          python,
          fenced("python", "import sys\nif __name__ == '__main__':\n  print(sum(map(int, input().split())), ' ')"),
        ],
        [python, fenced("python", "print(5)")],
        [python, fenced("python", "print(5); exit(1)")],
        [
          javascript,
          fenced(
            "js",
            "const fs = require('fs');\nconst [a, b] = fs.readFileSync('/dev/stdin', 'utf8').split(' ').map(Number);\nif (require.main === module) console.log(a + b);",
          ),
        ],
        [
          javascript,
          fenced(
            "js",
            "import * as readline from 'node:readline/promises';\nconst line = await readline.createInterface({ input: process.stdin }).question('');\nconst [a, b] = line.split(' ').map(Number);\nconsole.log(a + b);",
          ),
        ],
      ]),
    ).toEqual([value(1), value(0.5, { wrong: 1 }), value(0, { exception: 2 }), value(1), value(1)]);
  });

  test("with code before, as HumanEval has it, and in one value for all", async () => {
    const humanEval = tests({
      language: "python",
      before: "from typing import List\nimport math\n",
      tests: ["def check(candidate):\n  assert candidate([1.0, 4.0]) == 3.0\n  assert candidate([]) == 0\ncheck(area)"],
    });
    const half = tests({ language: "python", tests: ["assert f() == 1", "assert f() == 2"] });
    const area = "def area(xs: List[float]) -> float:\n  return math.fsum(map(math.sqrt, xs))";
    expect(await partsOf([[humanEval, area]], open({ score: "all" }))).toEqual([value(1)]);
    expect(await partsOf([[half, "def f(): return 1"]], open({ score: "all" }))).toEqual([value(0, { wrong: 1 })]);
  });
});

test("prompts without tests are not its business, and tests are not that of the checks", async () => {
  const noComma: CheckSpec = { id: "punctuation:no_comma", args: {} };
  expect(await partsOf([[noComma, "x = 1"]])).toEqual([[]]);
  const prompt = promptWith(noComma, tests({ language: "python", tests: ["assert x"] }));
  const outcomes = checksComponent().rate([{ responseKey: "k", prompt, text: "a, b" }], new AbortController().signal);
  for await (const outcome of outcomes)
    expect(outcome).toEqual({ index: 0, parts: [{ name: "punctuation:no_comma", value: 0, weight: 1 }] });
});

test.runIf(hasBubblewrap)("stops when it is told to, with nothing left running", async () => {
  const component = open();
  const stop = new AbortController();
  const check = tests({ language: "python", tests: ["import time; time.sleep(1000)"] });
  const requests = Array.from({ length: 4 }, () => ({ responseKey: "k", prompt: promptWith(check), text: "x = 1" }));
  setTimeout(() => stop.abort(), 500);
  for await (const _ of component.rate(requests, stop.signal)) throw new Error("there is nothing to be had");
  await component.close();
});

test.runIf(hasBubblewrap)("stops at any moment, those too at which the sandbox is only being built", async () => {
  const asked = (test: string) => ({
    responseKey: "k",
    prompt: promptWith(tests({ language: "python", tests: [test] })),
    text: "x = 1",
  });
  const component = open();
  const outcomes = async (test: string, signal: AbortSignal) => {
    const found = [];
    for await (const outcome of component.rate([asked(test), asked(test)], signal)) found.push(outcome);
    return found;
  };
  expect(await outcomes("assert x == 1", new AbortController().signal)).toHaveLength(2);
  for (let ms = 0; ms < 60; ms += 2) {
    const stop = new AbortController();
    setTimeout(() => stop.abort(), ms);
    expect(await outcomes("import time; time.sleep(1000)", stop.signal)).toEqual([]);
  }
  await component.close();
});

describe("its identity", () => {
  const identity = (changes: Partial<CodeRecipe> = {}) => codeComponent({ ...recipe, ...changes }).identity;
  test("is that of what decides verdicts, and of nothing else", () => {
    expect(identity({ weight: 3 })).toBe(identity());
    for (const changes of [
      { score: "all" },
      { code_from: "first" },
      { timeout_seconds: 3 },
      { memory_mb: 512 },
    ] as const)
      expect(identity(changes)).not.toBe(identity());
  });
});

describe("rows", () => {
  const place = { file: "rows.jsonl", line: 3 };
  const validate = (check: CheckSpec) => () => validateChecks([{ prompt: promptWith(check), place }]);

  test("with tests of another form are refused by file, line and field", () => {
    expect(validate(tests({ language: "python", tests: ["assert x"] }))).not.toThrow();
    const wrong = [
      [{ language: "cobol", tests: ["x"] }, "checks.0.args.language"],
      [{ language: "python", tests: [] }, "checks.0.args.tests"],
      [{ language: "python", tests: [{ stdin: "1" }] }, "checks.0.args.tests.0"],
      [{ tests: ["x"] }, "checks.0.args.language"],
    ] as const;
    for (const [args, field] of wrong)
      expect(validate(tests(args))).toThrow(expect.objectContaining({ place: { ...place, field } }));
  });

  test("whose tests nobody would run are refused", () => {
    const placed = [{ prompt: promptWith(tests({ language: "python", tests: ["assert x"] })), place }];
    expect(() => refuseUnrunTests(placed, [{ kind: "checks", weight: 1 }])).toThrow(
      /no reward of the recipe runs tests/,
    );
    expect(() => refuseUnrunTests(placed, [recipe])).not.toThrow();
  });
});

test.runIf(hasBubblewrap)("a machine with a sandbox tells its languages", async () => {
  expect(await checkCode(["python", "javascript"])).toMatch(/^bubblewrap [\d.]+, Python 3\.[\d.]+, Node\.js v?\d+/);
});

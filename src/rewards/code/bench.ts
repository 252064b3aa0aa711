import { EnvironmentError } from "../../schema/index.ts";
import {
  type Ending,
  findInterpreter,
  type Interpreter,
  type Language,
  type Limits,
  sandbox,
  startRunner,
} from "../sandbox/index.ts";
import type { CodeTest } from "./tests.ts";
import { asked, type Verdict } from "./verdict.ts";

/** Of a program's output: more is endless. */
const outputBytes = 2 ** 20;

export interface TestCode {
  readonly language: Language;
  readonly before: string;
  readonly code: string;
  readonly test: CodeTest;
}

/** Where code is put to its tests. */
export interface Bench {
  /** @throws EnvironmentError where this machine has no sandbox, or not the language */
  verdict(of: TestCode, signal: AbortSignal): Promise<Verdict>;
  /** The sandbox and these languages, as a person reads it. @throws EnvironmentError where one of them does not work */
  describe(languages: readonly Language[], signal: AbortSignal): Promise<string>;
  close(): Promise<void>;
}

/** A bench whose sandbox and interpreters are looked for when they are first needed; each has to pass a test of its own then. */
export function codeBench(most: Pick<Limits, "seconds" | "memoryBytes">): Bench {
  const limits: Limits = { ...most, outputBytes };
  let opened: ReturnType<typeof open> | undefined;
  const open = async () => {
    const found = await sandbox();
    return { version: found.version, runner: startRunner(found) };
  };
  const interpreters = new Map<Language, Promise<Interpreter>>();

  const run = async (
    interpreter: Interpreter,
    { test, before, code }: Omit<TestCode, "language">,
    signal: AbortSignal,
  ): Promise<{ readonly verdict: Verdict; readonly ending: Ending }> => {
    opened ??= open();
    const { runner } = await opened;
    const { job, input, verdict } = asked(test, before, code);
    const { folders } = interpreter;
    const ending = await runner.run(
      { command: interpreter.command(limits.memoryBytes), folders, job, input },
      limits,
      signal,
    );
    return { verdict: verdict(ending), ending };
  };

  /** What works here; an interpreter that does not would have every response fail. */
  const proven = async (language: Language, signal: AbortSignal): Promise<Interpreter> => {
    const interpreter = findInterpreter[language]();
    const { verdict, ending } = await run(interpreter, { test: "0", before: "", code: "" }, signal);
    if (verdict === "passed") return interpreter;
    const words = ending.errors.trim().replace(/\s+/g, " ").slice(-300);
    throw new EnvironmentError(`${interpreter.version} does not work in the sandbox: ${words || verdict}`, {
      field: "rewards",
      hint: `Its files (${interpreter.folders.join(", ")}) must be readable by everyone; or raise \`memory_mb\` and \`timeout_seconds\`.`,
    });
  };

  const interpreter = (language: Language, signal: AbortSignal): Promise<Interpreter> => {
    const known = interpreters.get(language) ?? proven(language, signal);
    interpreters.set(language, known);
    return known;
  };

  return {
    async verdict({ language, ...code }, signal) {
      return (await run(await interpreter(language, signal), code, signal)).verdict;
    },
    async describe(languages, signal) {
      opened ??= open();
      const { version } = await opened;
      const found = await Promise.all(languages.map((language) => interpreter(language, signal)));
      return [version, ...found.map((one) => one.version)].join(", ");
    },
    async close() {
      const last = opened;
      opened = undefined;
      // One that could not be opened has nothing to close, and has been told of.
      await last?.then(
        ({ runner }) => runner.close(),
        () => {},
      );
    },
  };
}

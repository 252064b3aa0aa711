/** Exit codes of the shell's convention for a program that a signal ended. */
const exitCodes = { SIGINT: 130, SIGTERM: 143 } as const;
type StopSignal = keyof typeof exitCodes;

export interface Stopper {
  readonly signal: AbortSignal;
  /** The exit code once the user has stopped the program. */
  exitCode(): number | undefined;
  /** Stops listening. */
  release(): void;
}

/**
 * Ctrl-C and SIGTERM: the first asks for a clean end through the signal, the second ends the program at once, which
 * costs at most the work since the last commit.
 */
export function stopOnSignals(onFirst: () => void): Stopper {
  const controller = new AbortController();
  let code: number | undefined;
  const stop = (name: StopSignal) => {
    if (code !== undefined) process.exit(exitCodes[name]);
    code = exitCodes[name];
    onFirst();
    controller.abort(new Error("stopped by the user"));
  };
  const names = Object.keys(exitCodes) as StopSignal[];
  for (const name of names) process.on(name, stop);
  return {
    signal: controller.signal,
    exitCode: () => code,
    release() {
      for (const name of names) process.off(name, stop);
    },
  };
}

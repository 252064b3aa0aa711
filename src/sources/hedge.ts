/**
 * Does `work`; where it has given nothing after `afterMs`, does it a second time beside the first. The first value that
 * is not `poor` wins and the other work is stopped; two poor ones give the later. Says how many were begun.
 */
export async function hedged<Value>(
  work: (stop: AbortSignal) => Promise<Value>,
  poor: (value: Value) => boolean,
  afterMs: number | undefined,
  signal: AbortSignal,
): Promise<{ readonly value: Value; readonly calls: number }> {
  if (afterMs === undefined) return { value: await work(signal), calls: 1 };
  const stop = new AbortController();
  const both = AbortSignal.any([signal, stop.signal]);
  let timer: NodeJS.Timeout | undefined;
  let calls = 1;
  try {
    return await new Promise((resolve, reject) => {
      let under = 1;
      const take = (value: Value): void => {
        under -= 1;
        if (under === 0 || !poor(value)) resolve({ value, calls });
      };
      work(both).then(take, reject);
      timer = setTimeout(() => {
        under += 1;
        calls += 1;
        work(both).then(take, reject);
      }, afterMs);
    });
  } finally {
    clearTimeout(timer);
    stop.abort(new Error("the other call has answered"));
  }
}

/** The items in arrays of `size`, the last one shorter. */
export async function* inParts<T>(items: AsyncIterable<T>, size: number): AsyncGenerator<T[]> {
  let part: T[] = [];
  for await (const item of items) {
    part.push(item);
    if (part.length < size) continue;
    yield part;
    part = [];
  }
  if (part.length > 0) yield part;
}

/**
 * The items in groups: each is handed on when it has `most` items, or `withinMs` after its first one came. What came
 * before the items fail is handed on before the failure is thrown.
 */
export async function* grouped<T>(items: AsyncIterable<T>, most: number, withinMs: number): AsyncGenerator<T[]> {
  const iterator = items[Symbol.asyncIterator]();
  let group: T[] = [];
  let due: Promise<"due"> | undefined;
  let timer: NodeJS.Timeout | undefined;
  const handOn = (): T[] => {
    const whole = group;
    clearTimeout(timer);
    group = [];
    due = undefined;
    return whole;
  };
  let next = settled(iterator.next());
  try {
    for (;;) {
      const first = await (due === undefined ? next : Promise.race([next, due]));
      if (first === "due") {
        yield handOn();
        continue;
      }
      if ("error" in first || first.result.done) {
        if (group.length > 0) yield handOn();
        if ("error" in first) throw first.error;
        return;
      }
      group.push(first.result.value);
      next = settled(iterator.next());
      if (group.length >= most) {
        yield handOn();
      } else {
        due ??= new Promise((resolve) => {
          timer = setTimeout(resolve, withinMs, "due");
        });
      }
    }
  } finally {
    clearTimeout(timer);
    await iterator.return?.();
  }
}

type Settled<T> = { readonly result: IteratorResult<T> } | { readonly error: unknown };

/** A failure as a value: while a group is stored nobody waits for the promise, and it must not count as unhandled. */
const settled = <T>(next: Promise<IteratorResult<T>>): Promise<Settled<T>> =>
  next.then(
    (result) => ({ result }),
    (error: unknown) => ({ error }),
  );

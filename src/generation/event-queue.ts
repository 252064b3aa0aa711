/** Events that one side writes while the other reads them; reading to the end once is all that can be done with it. */
export interface EventQueue<Event> extends AsyncIterable<Event> {
  push(event: Event): void;
  /** No more will come; the reader ends when it has read what is there, with the error if there is one. */
  end(error?: unknown): void;
}

/** `abandoned` is called when the reader leaves before the end. */
export function eventQueue<Event>(abandoned: () => void): EventQueue<Event> {
  let waiting: Event[] = [];
  let ended = false;
  let failure: { readonly error: unknown } | undefined;
  let wake = () => {};
  return {
    push(event) {
      waiting.push(event);
      wake();
    },
    end(error) {
      ended = true;
      if (error !== undefined) failure ??= { error };
      wake();
    },
    async *[Symbol.asyncIterator]() {
      try {
        while (true) {
          const read = waiting;
          waiting = [];
          yield* read;
          if (waiting.length > 0) continue;
          if (failure !== undefined) throw failure.error;
          if (ended) return;
          await new Promise<void>((resume) => {
            wake = resume;
          });
        }
      } finally {
        if (!ended) abandoned();
      }
    },
  };
}

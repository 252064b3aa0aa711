/** Server-sent events of JSON values, closed by `[DONE]` as OpenAI closes them. `failed` makes the last event of an error. */
export function eventStream(values: AsyncGenerator<unknown>, failed: (error: unknown) => unknown): Response {
  const utf8 = new TextEncoder();
  const event = (data: string) => utf8.encode(`data: ${data}\n\n`);
  const stream = new ReadableStream<Uint8Array>({
    async pull(controller) {
      try {
        const { done, value } = await values.next();
        if (!done) return controller.enqueue(event(JSON.stringify(value)));
        controller.enqueue(event("[DONE]"));
      } catch (error) {
        controller.enqueue(event(JSON.stringify(failed(error))));
      }
      controller.close();
    },
    async cancel() {
      await values.return(undefined);
    },
  });
  return new Response(stream, {
    headers: { "content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache" },
  });
}

/**
 * The same values, once the first is there: what goes wrong before it is thrown here, and can still be told by a status. `ended` is
 * called when they have ended.
 */
export async function begun<Value>(values: AsyncGenerator<Value>, ended: () => void): Promise<AsyncGenerator<Value>> {
  const first = await values.next();
  return (async function* () {
    try {
      if (first.done) return;
      yield first.value;
      yield* values;
    } finally {
      await values.return(undefined);
      ended();
    }
  })();
}

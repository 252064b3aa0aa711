import { afterEach } from "vitest";
import { type Handler, type LocalServer, localServer } from "./local-server.ts";

interface Closable {
  close(): Promise<void>;
}

/** Servers for the tests of a file, and what is opened on them: all is closed after each test, the latest first. */
export function serving() {
  const opened: Closable[] = [];
  afterEach(async () => {
    for (const one of opened.splice(0).reverse()) await one.close();
  });
  const closing = <T extends Closable>(one: T): T => {
    opened.push(one);
    return one;
  };
  return {
    closing,
    serve: async (handler: Handler): Promise<LocalServer> => closing(await localServer(handler)),
  };
}

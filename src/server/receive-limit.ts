import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Socket } from "node:net";

/** What is known of a connection. */
interface Connection {
  /** When it began to receive, by the clock of the sweeps; undefined: nothing is under way. */
  since: number | undefined;
  /** The request whose head has arrived. */
  current: { readonly incoming: IncomingMessage; readonly outgoing: ServerResponse } | undefined;
  /** Bytes that it had received when the last request was complete. */
  idleBytes: number;
}

const sweepsInTime = 8;

/**
 * Ends requests that take longer than `seconds` to arrive, head and body. Node's own time limits look at the clock before they
 * look at what has arrived: after a step of an engine that held up the event loop, they end requests that were there in time.
 * Here a hold-up counts as no more than the time between two sweeps, and what it left to be read is read before a sweep.
 *
 * @param late answers on a connection on which no answer has begun, and ends it
 * @returns ends the connections on which nothing has ever arrived: Node counts them as no idle ones
 */
export function limitReceiving(server: Server, seconds: number, late: (socket: Socket) => void): () => void {
  const connections = new Map<Socket, Connection>();
  server.on("connection", (socket) => {
    connections.set(socket, { since: clock, current: undefined, idleBytes: 0 });
    socket.once("close", () => connections.delete(socket));
  });
  server.on("request", (incoming, outgoing) => {
    const connection = connections.get(incoming.socket);
    if (connection !== undefined) connection.current = { incoming, outgoing };
  });

  const everyMs = Math.min(1000, (seconds * 1000) / sweepsInTime);
  let clock = 0;
  let last = performance.now();
  const sweep = () => {
    const now = performance.now();
    clock += Math.min(now - last, everyMs);
    last = now;
    for (const [socket, connection] of connections) {
      const { current } = connection;
      if (current?.incoming.complete) {
        connection.since = undefined;
        connection.idleBytes = socket.bytesRead;
        connection.current = undefined;
      } else if (current === undefined && connection.since === undefined) {
        if (socket.bytesRead > connection.idleBytes) connection.since = clock;
      } else if (connection.since !== undefined && clock - connection.since > seconds * 1000) {
        if (current?.outgoing.headersSent) socket.destroy();
        else late(socket);
        connections.delete(socket);
      }
    }
  };
  // After timers comes what has arrived, and then what was set for `setImmediate`.
  const timer = setInterval(() => setImmediate(sweep), everyMs);
  timer.unref();
  server.once("close", () => clearInterval(timer));
  return () => {
    for (const socket of connections.keys()) if (socket.bytesRead === 0) socket.destroy();
  };
}

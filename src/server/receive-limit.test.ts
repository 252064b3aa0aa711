import { once } from "node:events";
import { createServer, request, type Server } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { afterEach, expect, test } from "vitest";
import { limitReceiving } from "./receive-limit.ts";

let server: Server;
afterEach(() => void server.close().closeAllConnections());

async function listening(seconds: number): Promise<number> {
  server = createServer({ requestTimeout: 0, headersTimeout: 0 }, (incoming, answer) => {
    incoming.resume();
    incoming.on("end", () => answer.end("done"));
  });
  limitReceiving(server, seconds, (socket) => socket.end("late"));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

/** What a connection gives until its end, when these pieces are sent with a pause between them. */
async function answerTo(port: number, pieces: readonly string[], pauseMs: number): Promise<string> {
  const socket = connect(port, "127.0.0.1");
  let text = "";
  socket.on("data", (chunk: Buffer) => {
    text += chunk.toString();
  });
  socket.on("error", () => {});
  const closed = once(socket, "close");
  for (const piece of pieces) {
    if (socket.destroyed) break;
    socket.write(piece);
    await sleep(pauseMs);
  }
  await closed;
  return text;
}

const whole = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";
const head = "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 50\r\n\r\n";

test("a head, a body or a second request that dribbles in is ended", async () => {
  const port = await listening(0.2);
  expect(await answerTo(port, [], 0)).toBe("late");
  expect(await answerTo(port, [...whole], 40)).toBe("late");
  expect(await answerTo(port, [head, ..."x".repeat(40)], 40)).toBe("late");
  const second = await answerTo(port, [whole, ...whole], 40);
  expect(second).toMatch(/^HTTP\/1.1 200 OK[\s\S]*late$/);
});

test("a hold-up of the event loop ends nothing that was there in time", async () => {
  const port = await listening(0.3);
  server.on("connection", () =>
    setImmediate(() => {
      const until = performance.now() + 900;
      while (performance.now() < until);
    }),
  );
  // From another thread: it sends while this one is held up.
  const code = `
    const { request } = require("node:http");
    const { parentPort, workerData } = require("node:worker_threads");
    request({ port: workerData, host: "127.0.0.1" }, (answer) => parentPort.postMessage(answer.statusCode))
      .on("error", (error) => parentPort.postMessage(error.code)).end();`;
  const worker = new Worker(code, { eval: true, workerData: port });
  expect(await once(worker, "message")).toEqual([200]);
  await worker.terminate();
});

test("a connection that waits for its answer, or for its next request, is left alone", async () => {
  server = createServer({ requestTimeout: 0, headersTimeout: 0 }, (_, answer) => {
    setTimeout(() => answer.end("done"), 600);
  });
  limitReceiving(server, 0.1, (socket) => socket.end("late"));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const sent = request({ port, host: "127.0.0.1" }).end();
  const [answer] = await once(sent, "response");
  expect((answer as { statusCode: number }).statusCode).toBe(200);
});

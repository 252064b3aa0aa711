import { request } from "node:http";
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { philox } from "../../schema/index.ts";
import { testKey } from "./tiny-server.ts";

/** What came back: undefined where nothing had to. */
export type Outcome = { readonly status: number; readonly body: string } | undefined;

/** A request that no server should take, and what came of it. */
export interface HostileRequest {
  readonly kind: string;
  send(url: URL): Promise<Outcome>;
}

/** Random numbers in [0, 1) by the number of the request. */
function randomOf(seed: number) {
  let step = 0;
  const words = new Uint32Array(4);
  const next = () => philox([step++, 0, 0, 0], [seed, 77], words) ?? words;
  const uniform = () => {
    next();
    return words[0]! / 2 ** 32;
  };
  const below = (count: number) => Math.floor(uniform() * count);
  return { below, pick: <T>(items: readonly T[]): T => items[below(items.length)]! };
}

const routes = ["/v1/chat/completions", "/v1/completions", "/v1/embeddings"];
const valid: Readonly<Record<string, Record<string, unknown>>> = {
  "/v1/chat/completions": {
    ...{ model: "tiny-qwen2", messages: [{ role: "user", content: "Hello" }], max_tokens: 4, temperature: 1, top_p: 1 },
    ...{
      n: 1,
      seed: 1,
      stop: ["x"],
      stream: false,
      logit_bias: {},
      logprobs: true,
      top_logprobs: 1,
      min_p: 0,
      top_k: 0,
    },
  },
  "/v1/completions": {
    ...{ model: "tiny-qwen2", prompt: "Hello", max_tokens: 4, temperature: 1, top_p: 1, n: 1, seed: 1, echo: false },
    ...{ logprobs: 1, presence_penalty: 0, frequency_penalty: 0, best_of: 1, min_tokens: 0 },
  },
  "/v1/embeddings": { model: "tiny-qwen2", input: ["Hello"] },
};
const wrongValues: unknown[] = [
  {},
  [[]],
  { a: [1] },
  "\u0000nonsense",
  -1e308,
  1e308,
  [{ a: null }],
  [null],
  -0.5,
  [true],
];
const numbers = ["1e999", "-1e999", "1e308", "-1e308", "9007199254740993000", "-9007199254740993000", "0.1e-400000x"];
const headers = (more: Record<string, string> = {}) => ({
  authorization: `Bearer ${testKey}`,
  "content-type": "application/json",
  ...more,
});

function post(url: URL, path: string, body: string | Buffer, more: Record<string, string> = {}, method = "POST") {
  return new Promise<Outcome>((resolve, reject) => {
    const length: Record<string, string> =
      "transfer-encoding" in more ? {} : { "content-length": String(Buffer.byteLength(body)) };
    const sent = request(url, { path, method, headers: headers({ ...length, ...more }) }, (answer) => {
      const chunks: Buffer[] = [];
      answer.on("data", (chunk: Buffer) => chunks.push(chunk));
      answer.on("end", () => resolve({ status: answer.statusCode!, body: Buffer.concat(chunks).toString() }));
      answer.on("error", reject);
    });
    sent.on("error", reject);
    sent.end(body);
  });
}

/** Sends raw bytes, in pieces with pauses, and reads until the server closes or `patience` is over. */
function raw(url: URL, pieces: readonly (string | Buffer)[], pauseMs: number, patience: number): Promise<Outcome> {
  return new Promise((resolve) => {
    const socket = connect(Number(url.port), url.hostname);
    const chunks: Buffer[] = [];
    const done = () => {
      socket.destroy();
      const text = Buffer.concat(chunks).toString();
      const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(text)?.[1] ?? 0);
      resolve(status === 0 ? undefined : { status, body: text.slice(text.indexOf("\r\n\r\n") + 4) });
    };
    const timer = setTimeout(done, patience);
    socket.on("data", (chunk) => chunks.push(chunk));
    socket.on("error", () => {});
    socket.on("close", () => {
      clearTimeout(timer);
      done();
    });
    socket.on("connect", async () => {
      for (const piece of pieces) {
        if (socket.destroyed) return;
        socket.write(piece);
        if (pauseMs > 0) await sleep(pauseMs);
      }
    });
  });
}

const head = (path: string, more: string[] = []) =>
  [
    `POST ${path} HTTP/1.1`,
    "Host: localhost",
    `Authorization: Bearer ${testKey}`,
    "Content-Type: application/json",
    ...more,
    "",
    "",
  ].join("\r\n");

/** Ways to ask what can't be answered; each takes the random numbers of a request. */
const ways: Readonly<Record<string, (random: ReturnType<typeof randomOf>, large: number) => HostileRequest["send"]>> = {
  "broken JSON": ({ below, pick }) => {
    const path = pick(routes);
    const text = JSON.stringify(valid[path]);
    const broken = pick([
      text.slice(0, 1 + below(text.length - 1)),
      `${text}${pick(["}", "]", ",", "x", text])}`,
      text.replace(/:/, pick(["", "=", "::"])),
      text.replaceAll('"', "'"),
      "",
      "null",
      "[]",
      "42",
      '"text"',
    ]);
    return (url) => post(url, path, broken);
  },
  "a number beyond all measure": ({ pick }) => {
    const path = pick(["/v1/chat/completions", "/v1/completions"]);
    const fields = Object.entries(valid[path]!).flatMap(([key, value]) => (typeof value === "number" ? [key] : []));
    const field = pick(fields);
    const text = JSON.stringify({ ...valid[path], [field]: "@" }).replace('"@"', pick(numbers));
    return (url) => post(url, path, text);
  },
  "another type": ({ pick }) => {
    const path = pick(routes);
    const field = pick(Object.keys(valid[path]!));
    const value = pick(wrongValues);
    // Some of these are right for a field that takes any text, or a map.
    const harmless =
      (field === "logit_bias" && JSON.stringify(value) === "{}") ||
      (typeof value === "string" && ["prompt", "stop", "input"].includes(field)) ||
      (value === -0.5 && field.endsWith("_penalty"));
    return (url) => post(url, path, JSON.stringify({ ...valid[path], [field]: harmless ? [[[]]] : value }));
  },
  "a field nobody knows": ({ pick }) => {
    const path = pick(routes);
    const field = pick(["__proto__", "constructor", "toString", "Model", "", "a".repeat(5000), "\u{1F600}"]);
    const text = `{${JSON.stringify(field)}: 1, ${JSON.stringify(valid[path]).slice(1)}`;
    return (url) => post(url, path, text);
  },
  "half a character": ({ pick }) => {
    const half = pick(["\\ud800", "\\udc00", "\\ud83d\\ud83d", "a\\udfff b", "\\udE00\\ud83d"]);
    const path = pick(routes);
    const place = pick(["value", "key"]);
    const base = JSON.stringify({ ...valid[path], ...(path === "/v1/embeddings" ? {} : { user: "@" }) });
    const text =
      place === "key" || path === "/v1/embeddings"
        ? base.replace('{"model"', `{"${half}": 1, "model"`)
        : base.replace("Hello", half);
    return (url) => post(url, path, text);
  },
  "bytes that are no text": ({ pick }) => {
    const path = pick(routes);
    const text = Buffer.from(JSON.stringify(valid[path]).replace("Hello", "@@@@"));
    const at = text.indexOf("@@@@");
    pick([
      Buffer.from([0xff, 0xfe, 0xc0, 0xaf]),
      Buffer.from([0xed, 0xa0, 0x80, 0x41]),
      Buffer.from([0xf0, 0x9f, 0x98, 0x41]),
    ]).copy(text, at);
    return (url) => post(url, path, text);
  },
  "deep nesting": ({ below, pick }) => {
    const path = pick(routes);
    const depth = 65 + below(60_000);
    const nested = pick([
      `${"[".repeat(depth)}${"]".repeat(depth)}`,
      `${'{"a":'.repeat(depth)}1${"}".repeat(depth)}`,
      "[".repeat(depth),
    ]);
    const text = JSON.stringify({ ...valid[path], metadata: "@" }).replace('"@"', nested);
    return (url) => post(url, path, text);
  },
  "too large a body": ({ pick }, large) => {
    const declared = pick([true, false]);
    const path = pick(routes);
    return (url) => post(url, path, Buffer.alloc(large, 0x20), declared ? {} : { "transfer-encoding": "chunked" });
  },
  "more than there is room for": ({ pick }) => {
    const [path, body] = pick<[string, object]>([
      [
        "/v1/chat/completions",
        { ...valid["/v1/chat/completions"], messages: [{ role: "user", content: "long ".repeat(20_000) }] },
      ],
      ["/v1/completions", { ...valid["/v1/completions"], prompt: Array(5000).fill("a") }],
      ["/v1/completions", { ...valid["/v1/completions"], prompt: [[1, 2, 999_999_999]] }],
      ["/v1/completions", { ...valid["/v1/completions"], prompt: Array(3000).fill(5) }],
      ["/v1/embeddings", { model: "tiny-qwen2", input: ["long ".repeat(20_000)] }],
      ["/v1/embeddings", { model: "tiny-qwen2", input: "" }],
      ["/v1/chat/completions", { ...valid["/v1/chat/completions"], logit_bias: { "4000000": 1 } }],
      ["/v1/chat/completions", { ...valid["/v1/chat/completions"], tools: Array(5000).fill({}) }],
    ]);
    return (url) => post(url, path, JSON.stringify(body));
  },
  "another path, method or content": ({ pick }) => {
    const [path, method, more] = pick<[string, string, Record<string, string>]>([
      ["/v1/nothing", "POST", {}],
      ["/v1/chat/completions", "PUT", {}],
      ["/v1/chat/completions", "DELETE", {}],
      ["/v1/completions", "POST", { "content-type": "text/plain" }],
      ["/v1/completions", "POST", { "content-encoding": "gzip" }],
      ["/v1/completions", "POST", { authorization: "Bearer no" }],
      ["/v1/completions", "POST", { authorization: "" }],
      ["/v1/models/..%2f..%2fetc", "GET", {}],
      ["/v1/models/%ff", "GET", {}],
      [`/${"a".repeat(8000)}`, "POST", {}],
      ["//v1//models", "POST", {}],
    ]);
    return (url) => post(url, path, method === "GET" ? "" : "{}", more, method);
  },
  "no HTTP": ({ below, pick }) => {
    const bytes = pick([
      Buffer.from(Array.from({ length: 1 + below(300) }, () => below(256))),
      Buffer.from("GET / HTTP/9.9\r\n\r\n"),
      Buffer.from("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "latin1"),
      Buffer.from(`GET /${"a".repeat(20_000)} HTTP/1.1\r\nHost: localhost\r\n\r\n`),
      Buffer.from(`GET / HTTP/1.1\r\nHost: localhost\r\nX: ${"b".repeat(20_000)}\r\n\r\n`),
      Buffer.from("GET / HTTP/1.1\r\n\r\n"),
      Buffer.from(head("/v1/completions", ["Content-Length: -5"])),
      Buffer.from(head("/v1/completions", ["Content-Length: 5", "Transfer-Encoding: chunked"])),
      Buffer.from(`${head("/v1/completions", ["Transfer-Encoding: chunked"])}zz\r\n`),
      Buffer.from("GET http://[::bad HTTP/1.1\r\nHost: localhost\r\n\r\n"),
      Buffer.from("GET / HTTP/1.1\r\nHost: a b c\r\n\r\n"),
    ]);
    return (url) => raw(url, [bytes], 0, 2500);
  },
  "slow to send": ({ below, pick }) => {
    const text = `${head(pick(routes), ["Content-Length: 500"])}${"{".padEnd(80)}`;
    const from = below(text.length - 40);
    return (url) => raw(url, [text.slice(0, from), ...text.slice(from)], 60, 8000);
  },
  "gone before the answer": ({ below, pick }) => {
    const path = pick(["/v1/chat/completions", "/v1/completions"]);
    const body = JSON.stringify({ ...valid[path], max_tokens: 100, stream: pick([true, false]) });
    const text = `${head(path, [`Content-Length: ${body.length}`])}${body}`;
    const sent = pick([text, text.slice(0, 1 + below(text.length))]);
    const patience = 1 + below(60);
    return async (url) => {
      await raw(url, [sent], 0, patience);
      return undefined;
    };
  },
};

/** Which way comes how often, so that the slow ones don't hold up all. */
const weights: Readonly<Record<string, number>> = { "too large a body": 0.1, "slow to send": 0.2, "deep nesting": 0.5 };
const total = Object.keys(ways).reduce((sum, kind) => sum + (weights[kind] ?? 1), 0);

/** Request number `seed`: the same each time. `large` is the size of a body that is too large. */
export function hostileRequest(seed: number, large: number): HostileRequest {
  const random = randomOf(seed);
  let point = (random.below(1_000_000) / 1_000_000) * total;
  const kind = Object.keys(ways).find((name) => {
    point -= weights[name] ?? 1;
    return point < 0;
  })!;
  return { kind, send: ways[kind]!(random, large) };
}

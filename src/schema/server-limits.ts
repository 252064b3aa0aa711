import { z } from "zod";

/** What a server takes at most. A client that asks for more is told so; nothing is cut. */
export const serverLimitsSchema = z.strictObject({
  /** Size of a request's body. */
  body_mib: z.number().gt(0).max(1024).default(8),
  /** Bodies of all requests that are there, together. */
  bodies_mib: z.number().gt(0).default(512),
  /** Tokens of a response; the model's context where not given. */
  tokens: z.int().min(1).optional(),
  /** Responses of one request: prompts times n. */
  choices: z.int().min(1).default(128),
  /** Memory for keys and values, of each model and of each adapter. */
  cache_mib: z.number().gt(0).default(1024),
  /** Responses that are computed at once; the others wait. */
  running: z.int().min(1).default(64),
  /** Prompts that wait; one more is refused with 429. */
  waiting: z.int().min(1).default(1024),
  /** How long a request waits for its turn before it is refused with 503. */
  waiting_seconds: z.number().gt(0).max(86_400).default(120),
  /** How long a request takes in all before it is broken off. */
  seconds: z.number().gt(0).max(86_400).default(600),
  /** How long a client may take to send a request. */
  receive_seconds: z.number().gt(0).max(3600).default(30),
  /** Open connections. */
  connections: z.int().min(1).default(2048),
  /** After SIGTERM, how long the requests that are there may take to end. */
  drain_seconds: z.number().min(0).max(3600).default(60),
});

export type ServerLimits = z.infer<typeof serverLimitsSchema>;

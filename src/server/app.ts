import { randomBytes } from "node:crypto";
import type { HttpBindings } from "@hono/node-server";
import { type Context, Hono } from "hono";
import type { Logger } from "pino";
import { AmalgamError, DataError, RequestError } from "../schema/index.ts";
import { ApiError, badRequest } from "./api-error.ts";
import type { Call, Service } from "./call.ts";
import { chatCompletions } from "./chat-route.ts";
import { completions } from "./completion-route.ts";
import type { Keys } from "./keys.ts";
import { describeModel, embeddings, listModels, loadAdapter, unloadAdapter } from "./other-routes.ts";

export interface AppSettings {
  readonly service: Service;
  readonly keys: Keys;
  readonly log: Logger;
  /** Whether only this machine is listened to: then the names that browsers may call it by are held to its own. */
  readonly loopback: boolean;
  /** Aborts when the server stops waiting for what is under way. */
  readonly ended: AbortSignal;
  readonly draining: () => boolean;
}

type Environment = { Bindings: HttpBindings; Variables: { call: Call } };

/** The client is not there any more: nobody reads the answer. */
class ClientGone extends Error {}
const statusOfGone = 499;

/** The server's routes, from a request to its answer. */
export function createApp(settings: AppSettings): Hono<Environment> {
  const { service, keys, log } = settings;
  const app = new Hono<Environment>();
  /** Bytes of the bodies of all calls that are there. */
  let held = 0;

  /** What a client is told of an error. What is not meant for it goes to the log alone. */
  const told = (error: unknown): ApiError => {
    if (error instanceof ApiError) return error;
    if (error instanceof ClientGone) return new ApiError(statusOfGone, "the client went away");
    if (error instanceof RequestError || error instanceof DataError) return badRequest(error.message);
    log.error({ err: error instanceof AmalgamError ? error.message : (error as Error).stack }, "failed");
    return new ApiError(500, "the server failed at this request; its log says why");
  };
  const failed = (error: unknown) => told(error).body;

  app.onError((error) => told(error).response());
  app.notFound(({ req }) =>
    new ApiError(404, `there is nothing at ${req.method} ${req.path.slice(0, 200)}`).response(),
  );

  app.use(async (context, next) => {
    const { incoming, outgoing } = context.env;
    const { call, end } = openCall(context);
    context.set("call", call);
    outgoing.once("close", () => {
      end(outgoing.writableFinished);
      const status = outgoing.writableFinished ? outgoing.statusCode : statusOfGone;
      const ms = Math.round(performance.now() - call.begun);
      const route = routes.has(context.req.path) ? context.req.path : "other";
      service.metrics.answered(route, status, ms / 1000);
      const address = incoming.socket.remoteAddress;
      log.info({ id: call.id, method: incoming.method, route, status, ms, address, ...call.facts }, "answered");
    });
    await next();
    context.res.headers.set("x-request-id", call.id);
  });
  app.use(async (context, next) => {
    const { incoming } = context.env;
    if (settings.loopback && keys.count === 0 && !isOwnName(incoming.headers.host))
      throw new ApiError(403, "this server listens to its own machine only, under the names localhost and 127.0.0.1");
    if (settings.draining() && context.req.path !== "/health")
      throw new ApiError(503, "the server is shutting down", { code: "shutting_down", retryAfterSeconds: 10 });
    if (context.req.path !== "/health") keys.nameOf(incoming.headers.authorization);
    await next();
  });

  app.get("/health", () =>
    settings.draining() ? Response.json({ status: "draining" }, { status: 503 }) : Response.json({ status: "ok" }),
  );
  app.get(
    "/metrics",
    async () =>
      new Response(await service.metrics.text(), { headers: { "content-type": service.metrics.contentType } }),
  );
  app.get("/v1/models", () => listModels(service));
  app.get("/v1/models/:name{.+}", (context) => describeModel(service, context.req.param("name")));
  app.post("/v1/chat/completions", (context) => chatCompletions(service, context.var.call, failed));
  app.post("/v1/completions", (context) => completions(service, context.var.call, failed));
  app.post("/v1/embeddings", (context) => embeddings(service, context.var.call));
  app.post("/v1/load_lora_adapter", (context) => loadAdapter(service, context.var.call));
  app.post("/v1/unload_lora_adapter", (context) => unloadAdapter(service, context.var.call));
  const routes = new Set(
    app.routes.map(({ path }) => path).filter((path) => !path.includes("*") && !path.includes(":")),
  );
  for (const path of routes) app.all(path, ({ req }) => notThere(req.method, path));
  return app;

  function openCall({ env, req }: Context<Environment>): { call: Call; end: (finished: boolean) => void } {
    const { incoming } = env;
    const controller = new AbortController();
    const stop = () => controller.abort(new ApiError(503, "the server is shutting down", { code: "shutting_down" }));
    const { seconds } = service.limits;
    const timer = setTimeout(
      () =>
        controller.abort(
          new ApiError(504, `the request took longer than ${seconds} s, the most that this server gives it`, {
            code: "timeout",
          }),
        ),
      seconds * 1000,
    );
    settings.ended.addEventListener("abort", stop);
    const address = incoming.socket.remoteAddress ?? "";
    const client = () => {
      try {
        return keys.count > 1 ? (keys.nameOf(req.header("authorization")) ?? address) : address;
      } catch {
        return address;
      }
    };
    let own = 0;
    const call: Call = {
      hold(bytes) {
        if (held + bytes > service.limits.bodies_mib * 2 ** 20)
          throw new ApiError(429, "the requests that are there hold too much: try again later", {
            retryAfterSeconds: 5,
          });
        held += bytes;
        own += bytes;
      },
      id: randomBytes(12).toString("hex"),
      ...{ incoming, client: client(), signal: controller.signal, begun: performance.now(), facts: {} },
    };
    return {
      call,
      end(finished) {
        clearTimeout(timer);
        held -= own;
        settings.ended.removeEventListener("abort", stop);
        if (!finished) controller.abort(new ClientGone("the client went away"));
      },
    };
  }
}

function notThere(method: string, path: string): never {
  throw new ApiError(405, `${path} does not take ${method}`);
}

/** Against pages that give their own name the address of this machine, and so may call it from a browser. */
function isOwnName(host: string | undefined): boolean {
  const name = (host ?? "").replace(/:\d+$/, "").toLowerCase();
  return name === "localhost" || name === "[::1]" || /^127(\.\d{1,3}){3}$/.test(name);
}

import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import type { EngineLoad } from "../generation/index.ts";
import type { FairQueue } from "./fair-queue.ts";
import type { ServedModels } from "./served-models.ts";

export interface Metrics {
  answered(route: string, status: number, seconds: number): void;
  waited(seconds: number): void;
  firstToken(seconds: number): void;
  /** What Prometheus reads. */
  text(): Promise<string>;
  readonly contentType: string;
}

const secondsBuckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600];

/** The server's own metrics, and those of its process. */
export function createMetrics(queue: FairQueue, models: ServedModels): Metrics {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  const requests = new Counter({
    name: "amalgam_requests_total",
    help: "Requests answered, by route and status; 499 is a client that went away",
    labelNames: ["route", "status"],
    registers,
  });
  const histogram = (name: string, help: string) => new Histogram({ name, help, buckets: secondsBuckets, registers });
  const duration = new Histogram({
    ...{ name: "amalgam_request_seconds", help: "From a request's head to the end of its answer" },
    ...{ labelNames: ["route"], buckets: secondsBuckets, registers },
  });
  const wait = histogram("amalgam_queue_seconds", "How long requests waited for their turn");
  const first = histogram("amalgam_first_token_seconds", "From a request's head to the first text of its answer");
  const gauge = (name: string, help: string, read: () => number) =>
    new Gauge({
      ...{ name, help, registers },
      collect() {
        this.set(read());
      },
    });
  gauge("amalgam_responses_running", "Responses that are computed now", () => queue.running);
  gauge("amalgam_prompts_waiting", "Prompts that wait for their turn", () => queue.waiting);

  gauge("amalgam_engine_heap_bytes", "JavaScript's heap in the thread that computes", () => models.memory().heap);
  gauge("amalgam_tensor_bytes", "Large CPU tensors: weights, caches, steps", () => models.memory().tensors);
  gauge("amalgam_tensor_kept_bytes", "Freed memory kept for the next tensors", () => models.memory().kept);

  const ofModels = (name: string, help: string, read: (load: EngineLoad) => number) => {
    const settings = { name, help, labelNames: ["model"], registers };
    const set = (metric: Gauge | Counter) => {
      metric.reset();
      for (const { name, load } of models.list()) metric.inc({ model: name }, read(load()));
    };
    if (!name.endsWith("_total"))
      return new Gauge({
        ...settings,
        collect() {
          set(this);
        },
      });
    return new Counter({
      ...settings,
      collect() {
        set(this);
      },
    });
  };
  ofModels("amalgam_generated_tokens_total", "Tokens of responses", (load) => load.generatedTokens);
  ofModels("amalgam_prompt_tokens_total", "Tokens of prompts", (load) => load.promptTokens);
  ofModels("amalgam_prefix_hit_tokens_total", "Tokens of prompts that the cache held", (load) => load.prefixHitTokens);
  ofModels("amalgam_preemptions_total", "Responses that gave up their room to another", (load) => load.preemptions);
  ofModels("amalgam_cache_tokens", "Tokens that the cache has room for", (load) => load.cacheTokens);
  ofModels("amalgam_cache_tokens_used", "Tokens that the cache holds", (load) => load.cacheTokensUsed);

  return {
    answered(route, status, seconds) {
      requests.inc({ route, status });
      duration.observe({ route }, seconds);
    },
    waited: (seconds) => wait.observe(seconds),
    firstToken: (seconds) => first.observe(seconds),
    text: () => registry.metrics(),
    contentType: registry.contentType,
  };
}

import { parentPort, workerData } from "node:worker_threads";
import { hostEngines } from "./host.ts";
import type { Command, ThreadSettings } from "./messages.ts";

/** The thread that computes: a step of an engine holds up nothing but itself. */
const port = parentPort;
if (port === null) throw new Error("this is the engines' thread, and no program of its own");
const { locating } = workerData as ThreadSettings;
const { take, end } = hostEngines(locating, (message) => port.postMessage(message));
port.on("message", (command: Command | undefined) => {
  if (command !== undefined) return take(command);
  end().then(() => port.close());
});

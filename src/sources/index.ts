export { endpointIdentity } from "./address.ts";
export {
  CallError,
  type EndpointClient,
  type EndpointOptions,
  openEndpointClient,
  RejectedFieldError,
} from "./client.ts";
export { openEndpoint } from "./endpoint.ts";
export { type EndpointFinding, probeEndpoint } from "./probe.ts";
export { openRecorded } from "./recorded.ts";
export type { ChatCompletion, ChatRequest } from "./wire.ts";
export { gathered } from "./workers.ts";

export { endpointIdentity } from "./address.ts";
export {
  type Budget,
  BudgetError,
  exceeds,
  negative,
  nothingSpent,
  openBudget,
  type Spending,
  sum,
} from "./budget.ts";
export { type CallApi, type Calls, type EndpointOptions, openCalls, type Tokens } from "./calls.ts";
export { type EndpointClient, openEndpointClient } from "./client.ts";
export { CallError, RejectedFieldError } from "./client-errors.ts";
export type { ChatCompletion, ChatRequest } from "./completion.ts";
export { openEndpoint } from "./endpoint.ts";
export { openPlainCompletions, type PlainCompletion, type PlainRequest } from "./plain.ts";
export { type EndpointFinding, probeEndpoint } from "./probe.ts";
export { openRecorded, recordedIdentity } from "./recorded.ts";
export { scoringAddress } from "./scoring-address.ts";
export type { Parsed } from "./wire.ts";
export { gathered } from "./workers.ts";

import { issueWords } from "../schema/index.ts";

type Issue = Parameters<typeof issueWords>[0];

interface Details {
  /** The field of the request that is at fault. */
  readonly param?: string;
  readonly code?: string;
  /** When another try may go well. */
  readonly retryAfterSeconds?: number;
}

/** An error as OpenAI's API tells it: a status, and a body of message, type, param and code. */
export class ApiError extends Error {
  readonly status: number;
  readonly param: string | null;
  readonly code: string | null;
  readonly retryAfterSeconds: number | undefined;

  constructor(status: number, message: string, { param, code, retryAfterSeconds }: Details = {}) {
    super(message);
    this.status = status;
    this.param = param ?? null;
    this.code = code ?? null;
    this.retryAfterSeconds = retryAfterSeconds;
  }

  /** The body of the answer, and of an error within a stream. */
  get body(): { readonly error: { message: string; type: string; param: string | null; code: string | null } } {
    const type = types[this.status] ?? (this.status < 500 ? "invalid_request_error" : "server_error");
    return { error: { message: this.message, type, param: this.param, code: this.code } };
  }

  get headers(): Record<string, string> {
    return this.retryAfterSeconds === undefined ? {} : { "retry-after": String(this.retryAfterSeconds) };
  }

  response(): Response {
    return Response.json(this.body, { status: this.status, headers: this.headers });
  }
}

const types: Readonly<Record<number, string>> = {
  401: "authentication_error",
  403: "permission_error",
  404: "not_found_error",
  429: "rate_limit_error",
  503: "overloaded_error",
  504: "timeout_error",
};

export const badRequest = (message: string, param?: string, code?: string): ApiError =>
  new ApiError(400, message, { ...(param === undefined ? {} : { param }), ...(code === undefined ? {} : { code }) });

/** What is wrong with a request by its schema: the first field at fault. */
export function schemaError(issues: readonly Issue[], body: unknown): ApiError {
  const issue = deepest(issues[0]!);
  const param = fieldName(issue.path);
  if (issue.code === "unrecognized_keys") {
    const [key] = issue.keys;
    const field = fieldName([...issue.path, key!]);
    return badRequest(`this server knows no field ${quoted(field)}`, field, "unknown_parameter");
  }
  const { message, hint } = issueWords(issue, body);
  const where = param === "" ? "the request" : quoted(param);
  return badRequest(`${where} ${message}${hint === undefined ? "" : `. ${hint}`}`, param || undefined);
}

/** The issue inside a union that got furthest: the form that was meant. */
function deepest(issue: Issue): Issue {
  if (issue.code !== "invalid_union" || issue.message !== "Invalid input") return issue;
  const inner = issue.errors.flatMap(([first]) => (first === undefined ? [] : [first]));
  const meant = inner.sort((a, b) => b.path.length - a.path.length)[0];
  if (meant === undefined || meant.path.length === 0) return issue;
  return deepest({ ...meant, path: [...issue.path, ...meant.path] });
}

const longestField = 120;
const quoted = (field: string) => `\`${field}\``;

/** `messages[0].content`, as OpenAI names fields. */
function fieldName(path: readonly PropertyKey[]): string {
  const name = path
    .map((step) => (typeof step === "number" ? `[${step}]` : `.${String(step)}`))
    .join("")
    .replace(/^\./, "");
  return name.length > longestField ? `${name.slice(0, longestField)}...` : name;
}

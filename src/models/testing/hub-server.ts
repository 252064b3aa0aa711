import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface HubServerFile {
  readonly bytes: Buffer;
  /** In large-file storage: served by redirect from another origin. */
  readonly lfs: boolean;
}

export interface HubServerRepository {
  readonly id: string;
  /** Commit of every revision that it knows. */
  readonly revisions: Readonly<Record<string, string>>;
  readonly files: Readonly<Record<string, HubServerFile>>;
  /** The files are given only to those who show this token. */
  readonly gatedFor?: string;
}

export interface SeenRequest {
  readonly host: "hub" | "files";
  readonly path: string;
  readonly range: string | undefined;
  readonly authorization: string | undefined;
}

export interface HubServer {
  readonly url: string;
  readonly seen: SeenRequest[];
  /** What goes wrong with the next answers that carry a file's bytes, first come first served. */
  readonly faults: { readonly file: string; readonly fault: Fault }[];
  readonly close: () => Promise<void>;
}

export type Fault =
  | { readonly kind: "cut"; readonly afterBytes: number }
  | { readonly kind: "corrupt" }
  | { readonly kind: "ignoreRange" }
  | { readonly kind: "status"; readonly status: number; readonly retryAfter?: string };

/** A server on this machine that speaks the hub's routes, and a second one of another origin for large files. */
export async function startHub(repositories: readonly HubServerRepository[]): Promise<HubServer> {
  const seen: SeenRequest[] = [];
  const faults: HubServer["faults"] = [];
  const note = (host: SeenRequest["host"], request: IncomingMessage): void => {
    const { range, authorization } = request.headers;
    seen.push({ host, path: request.url ?? "", range, authorization });
  };

  const files = await listen((request, response) => {
    note("files", request);
    const [, owner, name, file] = /^\/([^/]+)\/([^/]+)\/(.+?)(?:\?.*)?$/.exec(request.url ?? "") ?? [];
    const found = repositories.find(({ id }) => id === `${owner}/${name}`)?.files[decodeURIComponent(file ?? "")];
    if (found === undefined) return refuse(response, 404);
    sendBytes(request, response, decodeURIComponent(file ?? ""), found.bytes, faults);
  });
  const hub = await listen((request, response) => {
    note("hub", request);
    const url = new URL(request.url ?? "", hub.url);
    if (url.pathname === "/api/models") return search(url, repositories, response);
    const api = /^\/api\/models\/([^/]+\/[^/]+)\/(revision|tree)\/([^/]+)(?:\/(.*))?$/.exec(url.pathname);
    const resolved = /^\/([^/]+\/[^/]+)\/resolve\/([^/]+)\/(.+)$/.exec(url.pathname);
    const repository = repositories.find(({ id }) => id === (api?.[1] ?? resolved?.[1]));
    if (repository === undefined) return refuse(response, 401, "RepoNotFound");
    const revision = decodeURIComponent(api?.[3] ?? resolved?.[2] ?? "");
    const known = Object.values(repository.revisions).includes(revision);
    const commit = repository.revisions[revision] ?? (known ? revision : undefined);
    if (commit === undefined) return refuse(response, 404, "RevisionNotFound");
    if (api?.[2] === "revision") return json(response, { _id: "1", id: repository.id, sha: commit, lastModified: 0 });
    if (api?.[2] === "tree") return tree(url, repository, api[4] ?? "", response);

    const name = decodeURIComponent(resolved?.[3] ?? "");
    const file = repository.files[name];
    if (file === undefined) return refuse(response, 404, "EntryNotFound");
    const allowed =
      repository.gatedFor === undefined || request.headers.authorization === `Bearer ${repository.gatedFor}`;
    if (!allowed) return refuse(response, 401, "GatedRepo");
    response.setHeader("x-repo-commit", commit);
    if (!file.lfs) {
      response.setHeader("etag", `"${gitDigest(file.bytes)}"`);
      return sendBytes(request, response, name, file.bytes, faults);
    }
    response.setHeader("x-linked-size", file.bytes.length);
    response.setHeader("x-linked-etag", `"${sha256(file.bytes)}"`);
    response.writeHead(302, { location: `${files.url}/${repository.id}/${name}?signature=secret` }).end();
  });
  return {
    url: hub.url,
    seen,
    faults,
    close: async () => {
      await hub.close();
      await files.close();
    },
  };
}

function sendBytes(
  request: IncomingMessage,
  response: ServerResponse,
  name: string,
  whole: Buffer,
  faults: HubServer["faults"],
): void {
  const at = faults.findIndex(({ file }) => file === name);
  const fault = at < 0 ? undefined : faults.splice(at, 1)[0]?.fault;
  if (fault?.kind === "status") {
    if (fault.retryAfter !== undefined) response.setHeader("retry-after", fault.retryAfter);
    refuse(response, fault.status);
    return;
  }
  const wanted = /^bytes=(\d+)-$/.exec(request.headers.range ?? "");
  const start = wanted === null || fault?.kind === "ignoreRange" ? 0 : Number(wanted[1]);
  if (start >= whole.length && start > 0) {
    refuse(response, 416);
    return;
  }
  const bytes = Buffer.from(whole.subarray(start));
  if (fault?.kind === "corrupt") bytes[0] = bytes[0]! ^ 255;
  if (start > 0) response.setHeader("content-range", `bytes ${start}-${whole.length - 1}/${whole.length}`);
  response.writeHead(start > 0 ? 206 : 200, { "content-length": bytes.length });
  if (request.method === "HEAD") response.end();
  else if (fault?.kind === "cut")
    response.write(bytes.subarray(0, fault.afterBytes), () => setTimeout(() => response.destroy(), 50));
  else response.end(bytes);
}

/** Two entries a page, so that the pages are followed wherever a folder has more. */
function tree(url: URL, { files }: HubServerRepository, folder: string, response: ServerResponse): void {
  const prefix = folder === "" ? "" : `${folder}/`;
  const entries = new Map<string, unknown>();
  for (const [name, { bytes, lfs }] of Object.entries(files)) {
    if (!name.startsWith(prefix)) continue;
    const [first = "", ...rest] = name.slice(prefix.length).split("/");
    const path = prefix + first;
    if (rest.length > 0) entries.set(path, { type: "directory", oid: "0".repeat(40), size: 0, path });
    else if (!lfs) entries.set(path, { type: "file", oid: gitDigest(bytes), size: bytes.length, path });
    else {
      const large = { oid: sha256(bytes), size: bytes.length, pointerSize: 134 };
      entries.set(path, { type: "file", oid: gitDigest(Buffer.from(path)), size: bytes.length, lfs: large, path });
    }
  }
  const cursor = Number(url.searchParams.get("cursor") ?? 0);
  const next = new URL(url);
  next.searchParams.set("cursor", String(cursor + 2));
  if (cursor + 2 < entries.size) response.setHeader("link", `<${next}>; rel="next"`);
  json(response, [...entries.values()].slice(cursor, cursor + 2));
}

function search(url: URL, repositories: readonly HubServerRepository[], response: ServerResponse): void {
  const query = (url.searchParams.get("search") ?? "").toLowerCase();
  const found = repositories.filter(({ id }) => id.toLowerCase().includes(query));
  json(
    response,
    found.map(({ id }) => ({ _id: id, id, private: false, gated: false, lastModified: 0 })),
  );
}

export const sha256 = (bytes: Buffer): string => createHash("sha256").update(bytes).digest("hex");
export const gitDigest = (bytes: Buffer): string =>
  createHash("sha1").update(`blob ${bytes.length}\0`).update(bytes).digest("hex");

function json(response: ServerResponse, value: unknown): void {
  response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(value));
}

function refuse(response: ServerResponse, status: number, code?: string): void {
  if (code !== undefined) response.setHeader("x-error-code", code);
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify({ error: "refused" }));
}

async function listen(
  handler: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<{ readonly url: string; readonly close: () => Promise<void> }> {
  const server: Server = createServer(handler);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}

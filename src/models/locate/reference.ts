import { ModelError } from "../../schema/index.ts";

/** A model on the hub: a whole repository, or one GGUF file of it, at a branch, tag or commit. */
export interface HubReference {
  readonly kind: "hub";
  /** `owner/name`. */
  readonly id: string;
  readonly file: string | undefined;
  readonly revision: string;
}

export type Reference =
  | { readonly kind: "package"; readonly name: string }
  | { readonly kind: "path"; readonly path: string }
  /** Two words with a slash: a folder, if there is one, else a model on the hub. */
  | { readonly kind: "either"; readonly path: string; readonly hub: HubReference }
  | HubReference;

const defaultRevision = "main";
const word = "[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,94}[A-Za-z0-9_])?";
const hubPattern = new RegExp(
  `^(?<id>${word}/${word})(?:@(?<before>[^:@\\s]+))?(?::(?<file>[^:@\\s][^:@]*))?(?:@(?<after>[^:@\\s]+))?$`,
);

/**
 * Reads what a recipe says in `model`: `package:NAME`, `owner/name[@revision]`, `owner/name:file.gguf[@revision]`,
 * or a path. Throws ModelError for an empty reference and for a hub id with a wrong part.
 */
export function parseReference(reference: string): Reference {
  if (reference.trim() === "") throw new ModelError("the model's name is empty", { hint: referenceHint });
  if (reference.startsWith("package:")) return { kind: "package", name: reference.slice("package:".length) };
  if (/^[./~]/.test(reference) || /^[^:@]+\.gguf$/i.test(reference)) return { kind: "path", path: reference };

  const parts = hubPattern.exec(reference)?.groups;
  if (parts === undefined) return { kind: "path", path: reference };
  const { id, before, file, after } = parts;
  if (before !== undefined && after !== undefined) {
    throw new ModelError(`"${reference}" names two revisions`, { hint: referenceHint });
  }
  if (file !== undefined) assertGgufFile(reference, file);
  const revision = before ?? after ?? defaultRevision;
  assertRevision(reference, revision);
  const hub: HubReference = { kind: "hub", id: id!, file, revision };
  return reference === id ? { kind: "either", path: reference, hub } : hub;
}

/** The hub reference as a person writes it. */
export function hubLabel({ id, file, revision }: HubReference): string {
  return `${id}${file === undefined ? "" : `:${file}`}${revision === defaultRevision ? "" : `@${revision}`}`;
}

export const referenceHint =
  "A model is a folder or .gguf file by path, owner/name or owner/name:file.gguf on the hub (with @revision if need be), or package:NAME.";

function assertGgufFile(reference: string, file: string): void {
  if (!file.toLowerCase().endsWith(".gguf")) {
    throw new ModelError(`"${reference}": only a .gguf file can be named after the colon`, { hint: referenceHint });
  }
  if (!isSafeRelativePath(file)) {
    throw new ModelError(`"${reference}": the file must lie inside the repository`, { hint: referenceHint });
  }
}

function assertRevision(reference: string, revision: string): void {
  if (isSafeRelativePath(revision)) return;
  throw new ModelError(`"${reference}": "${revision}" is no branch, tag or commit`, { hint: referenceHint });
}

/** Whether a name from outside stays inside the folder that it is joined to, on any system. */
export function isSafeRelativePath(path: string): boolean {
  return (
    !/[\\\0]/.test(path) &&
    !/^[A-Za-z]:/.test(path) &&
    path.split("/").every((part) => part !== "" && part !== "." && part !== "..")
  );
}

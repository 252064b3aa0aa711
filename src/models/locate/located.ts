import type { ProgressListener } from "./progress.ts";

/** A model that stands on this machine. */
export interface Located {
  /** A Hugging Face folder or a `.gguf` file. */
  readonly path: string;
  readonly kind: "folder" | "gguf";
  /** The reference as a person writes it. */
  readonly label: string;
  /** What the reader should know, e.g. that the hub could not be asked for a newer revision. */
  readonly note?: string;
}

export interface LocateOptions {
  /** Relative paths start here: the recipe's folder. */
  readonly baseFolder: string;
  readonly progress?: ProgressListener;
  /** Use only what was fetched before. `HF_HUB_OFFLINE` says the same for the hub. */
  readonly offline?: boolean;
  /** Default: `process.env`. */
  readonly environment?: NodeJS.ProcessEnv;
}

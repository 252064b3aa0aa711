import { native } from "./native.ts";

/**
 * Runs `body` with large blocks of memory mapped one by one instead of cut from the heap: for reading weights, where
 * long-lived blocks come between short-lived ones and would leave holes. Elsewhere the heap is faster.
 */
export function withMappedBlocks<T>(body: () => T): T {
  native().mapLargeBlocks(true);
  try {
    return body();
  } finally {
    native().mapLargeBlocks(false);
  }
}

/** Gives freed memory back to the operating system, e.g. when a model was disposed of. */
export const trimMemory = (): void => native().trimMemory();

import { native } from "./native.ts";
import type { Tensor } from "./tensor.ts";

/** Bytes of large CPU tensors (64 KiB and more). */
export interface TensorMemory {
  readonly used: number;
  /** Freed blocks that are kept for the next tensors. */
  readonly kept: number;
  /** The most that was used at once, since the start or the last `trimMemory`. */
  readonly peak: number;
}

export const tensorMemory = (): TensorMemory => native().tensorMemory();

/** Gives freed memory back to the operating system, e.g. when a model was disposed of. */
export const trimMemory = (): void => native().trimMemory();

/**
 * The pages of a view of a mapped file leave memory, and are read from the file again where they are needed. What was changed in them is
 * lost. Any other tensor would lose its values: only who mapped the file may call this.
 */
export const releasePages = (view: Tensor): void => native().releasePages(view);

/**
 * Bytes that are free on a device other than the processor.
 *
 * @throws TorchError where libtorch has no such device.
 */
export const freeDeviceMemory = (device: string): number => native().freeDeviceMemory(device);

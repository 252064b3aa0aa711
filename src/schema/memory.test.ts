import { expect, test } from "vitest";
import { DataError, EnvironmentError, ModelError, TorchError } from "./errors.ts";
import { explainMemory } from "./memory.ts";

test.each([
  new TorchError("mm(float32[9, 9]): not enough memory: 65536 bytes could not be had, tensors hold 0"),
  new TorchError('from_file("m.gguf"): unable to mmap 58466368 bytes from file <m.gguf>: Cannot allocate memory (12)'),
  new TorchError("zeros([9]): CUDA out of memory. Tried to allocate 2.00 GiB"),
  new Error("libtorch_cpu.so: failed to map segment from shared object"),
  new RangeError("Array buffer allocation failed"),
  Object.assign(new Error("spawn ENOMEM"), { code: "ENOMEM" }),
])("%s is told as a lack of memory, with what to change", (error) => {
  const told = explainMemory(error, "Lower sft.micro_batch_tokens (now 4096)") as EnvironmentError;
  expect(told).toBeInstanceOf(EnvironmentError);
  expect(told.message).toBe(`there is not enough memory (${error.message})`);
  expect(told.hint).toMatch(/^Lower sft\.micro_batch_tokens \(now 4096\), close other programs/);
  expect(told.cause).toBe(error);
});

test("a limit of the address space is told with the two ways out", () => {
  const error = new RangeError(
    "WebAssembly.instantiate(): Out of memory: Cannot allocate Wasm memory for new instance",
  );
  expect(explainMemory(error)).toMatchObject({
    message: expect.stringContaining("address space"),
    hint: expect.stringMatching(/ulimit -v unlimited.*NODE_OPTIONS/),
  });
});

test.each([
  new TorchError("mm(float32[2, 3], float32[2, 3]): mat1 and mat2 shapes cannot be multiplied"),
  new ModelError("the weights lack model.norm.weight"),
  new DataError("prompt: an out of memory story"),
  new TypeError("x is not a function"),
  "text",
])("%s stays as it is", (error) => {
  expect(explainMemory(error)).toBe(error);
});

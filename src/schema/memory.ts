import { AmalgamError, EnvironmentError, TorchError } from "./errors.ts";

/** What libtorch, the system's loader, JavaScript's engine and the C++ library say where memory can't be had. */
const words =
  /not enough memory|(can't|cannot|unable to) (allocate|mmap)|out of memory|allocation failed|failed to map segment|bad_alloc/i;

/** Whether an error says that memory could not be had. */
function isOutOfMemory(error: unknown): error is Error {
  if (!(error instanceof Error)) return false;
  // Of the errors for people only libtorch's may hide it.
  if (error instanceof AmalgamError && !(error instanceof TorchError)) return false;
  return (error as NodeJS.ErrnoException).code === "ENOMEM" || words.test(error.message);
}

/** Why memory could not be had, as an error for the person; any other error as it is. `cure` says what to change. */
export function explainMemory(error: unknown, cure = "Take a smaller model, or fewer tokens at a time"): unknown {
  if (!isOutOfMemory(error)) return error;
  const [reason] = error.message.split("\n");
  if (/wasm|webassembly/i.test(error.message))
    return new EnvironmentError("the address space is limited to less than Node.js reserves for WebAssembly", {
      cause: error,
      hint: "Lift the limit (`ulimit -v unlimited`), or set NODE_OPTIONS=--disable-wasm-trap-handler.",
    });
  return new EnvironmentError(`there is not enough memory (${reason})`, {
    cause: error,
    hint: `${cure}, close other programs, or raise the limit of this shell or container (\`ulimit -a\`). \`amalgam doctor\` says what a recipe needs and what is free.`,
  });
}

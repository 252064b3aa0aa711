import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statfsSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { tinyFolder } from "../models/testing/tiny-model.ts";
import { smallDisk } from "../schema/testing/small-disk.ts";
import { type ChildOptions, childWrpo, trainInChild } from "./testing/child-training.ts";
import { tinyRecipe, tinyRows } from "./testing/tiny-rows.ts";

const scratch = mkdtempSync(join(tmpdir(), "amalgam-disk-"));
const model = tinyFolder("llama");
const disk = smallDisk(2);
afterAll(() => {
  for (const folder of [scratch, model]) rmSync(folder, { recursive: true, force: true });
});

const folder = (name: string) => {
  const path = join(scratch, name);
  mkdirSync(path);
  return path;
};
const train = (at: string, options: ChildOptions = {}, keep_last = 1) =>
  trainInChild(
    scratch,
    {
      model,
      rows: tinyRows(8),
      objective: childWrpo,
      recipe: tinyRecipe({ epochs: 3, checkpoint_every_steps: 2, keep_last }),
      folder: at,
    },
    options,
  );
const checkpoints = (at: string) => readdirSync(join(at, "checkpoints")).sort();

describe("no room for a checkpoint", () => {
  let undisturbed: Buffer;
  let optimiserBytes = 0;
  beforeAll(async () => {
    const at = folder("undisturbed");
    expect((await train(at)).lines.at(-1)).toBe("finished after 8");
    undisturbed = readFileSync(join(at, "final.safetensors"));
    optimiserBytes = statSync(join(at, "checkpoints", "step-00000006", "optimiser.safetensors")).size;
  });

  /** Goes on with room to spare, and ends at the weights of an undisturbed training. */
  async function expectToGoOn(at: string): Promise<void> {
    const { lines } = await train(at);
    expect([lines[0], lines.at(-1)]).toEqual(["step 5", "finished after 8"]);
    expect(readFileSync(join(at, "final.safetensors")).equals(undisturbed)).toBe(true);
  }

  test.runIf(process.platform !== "win32")(
    "within a file (ulimit -f): what the file needs and what is free is told, the checkpoint before survives",
    async () => {
      const at = folder("limited");
      // Four steps with room; then files may be half as large as the optimiser's, and weights fit in.
      const stopped = await train(at, {
        hear: (line, child) => {
          if (line === "step 5") child.kill("SIGKILL");
        },
      });
      expect(stopped.signal).toBe("SIGKILL");
      expect(checkpoints(at)).toContain("step-00000004");
      const blocks = Math.floor(optimiserBytes / 2 / 512);
      const { code, lines } = await train(at, { limit: `ulimit -f ${blocks}` });
      expect(code).toBe(1);
      expect(lines.at(-1)).toMatch(
        new RegExp(
          `^error .*step-0+6.*optimiser.safetensors: files may not become so large here: ${optimiserBytes} bytes are needed, \\d+ are free.*ulimit -f.*what was there before is still there`,
        ),
      );
      expect(checkpoints(at)).toEqual(["step-00000004"]);
      await expectToGoOn(at);
    },
  );

  test.runIf(disk !== undefined)(
    "on a full disk: seen before a byte is written, in the middle of a training and at its start",
    async () => {
      const at = join(disk!, "run");
      mkdirSync(at);
      const full =
        /^error .*checkpoints: the disk is full: (\d+) bytes are needed, (\d+) are free.*what was there before/;
      const { code, lines } = await train(at, {
        hear: (line) => {
          // Somebody else takes all but 100 KiB while the training goes on.
          if (line !== "step 5") return;
          const { bavail, bsize } = statfsSync(disk!);
          writeFileSync(join(disk!, "other"), Buffer.alloc(bavail * bsize - 100 * 1024));
        },
      });
      expect(code).toBe(1);
      const [, needed, free] = full.exec(lines.at(-1)!)!.map(Number);
      expect(needed).toBeGreaterThan(optimiserBytes);
      expect(free).toBeLessThan(needed!);
      expect(checkpoints(at)).toEqual(["step-00000004"]);
      expect((await train(at)).lines).toEqual([expect.stringMatching(full)]);
      expect(checkpoints(at)).toEqual(["step-00000004"]);
      rmSync(join(disk!, "other"));
      await expectToGoOn(at);
    },
  );
});

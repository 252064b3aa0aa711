import { defineConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";

/** Files whose length doesn't tell how long they take: real models, kills, whole runs. */
const slow =
  /real-models|interrupted|killed|golden|crash|workers|bad-input|sweep|whole-run|embedded|held-out|main\.test/;

/** What takes long comes first, or one such file would run alone in the end. */
class SlowFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const isSlow = ({ moduleId }: TestSpecification) => slow.test(moduleId);
    return [...sorted.filter(isSlow), ...sorted.filter((file) => !isSlow(file))];
  }
}

export default defineConfig({
  test: {
    include: ["src/**/*.test.ts"],
    globalSetup: ["scripts/test-setup.ts"],
    // Two files at a time, each in a process of its own, so that no file's memory or settings of libtorch are the next one's.
    // Most of a test runs on one core; more at once would only have libtorch's threads fight for them.
    pool: "forks",
    maxWorkers: 2,
    sequence: { sequencer: SlowFirst },
    testTimeout: 300_000,
    hookTimeout: 600_000,
  },
});

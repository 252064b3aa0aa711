import { spawnSync } from "node:child_process";

/** Whether bubblewrap is installed; where it is, code must run. `.ci/run` installs it. */
export const hasBubblewrap = spawnSync("bwrap", ["--version"]).status === 0;

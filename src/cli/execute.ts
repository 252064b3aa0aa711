import { formatBytes } from "../models/index.ts";
import {
  diagnose,
  type Finding,
  initRun,
  isSweep,
  openChat,
  openRun,
  recoverLedger,
  runAll,
  runCommand,
  runStatus,
  runSummary,
  runSweep,
  type StageCommand,
  sweepStatus,
  trainOnData,
} from "../pipeline/index.ts";
import { onSetup } from "../torch/index.ts";
import { agreementCommand } from "./agreement-command.ts";
import { exportCommand, gcCommand, importCommand } from "./archive-commands.ts";
import type { Arguments, DataTraining } from "./arguments.ts";
import { chatLoop, chatOnce } from "./chat-loop.ts";
import { dataCommand } from "./data-command.ts";
import { doctorSummary, findingText } from "./doctor-text.ts";
import { inspectCommand } from "./inspect-command.ts";
import { leaderboardCommand } from "./leaderboard-command.ts";
import { numberOption } from "./number-option.ts";
import type { Output, ProgressPrinter } from "./progress.ts";
import { progressPrinter } from "./progress.ts";
import { recoveryText } from "./recovery-text.ts";
import { refuseFile, runFolder, runFolderIfAny } from "./run-folder.ts";
import { statusText } from "./status-text.ts";
import { suiteCommand } from "./suite-command.ts";
import { sweepStatusText, sweepText } from "./sweep-text.ts";
import { trainingText } from "./training-text.ts";
import { UsageError } from "./usage-error.ts";

/** Exit code of a command that ran. */
export type ExitCode = 0 | 1;

export interface Surroundings {
  readonly signal: AbortSignal;
  /** Where progress goes: standard error, so that standard output holds results only. */
  readonly output: Output;
  readonly printer: ProgressPrinter;
  readonly print: (text: string) => void;
}

/** What a command needs of the process that it runs in. */
export function surroundings(signal: AbortSignal): Surroundings {
  const { stderr } = process;
  const output: Output = {
    terminal: stderr.isTTY === true && process.env.TERM !== "dumb",
    columns: () => stderr.columns || 80,
    write: (text) => void stderr.write(text),
  };
  return { signal, output, printer: progressPrinter(output), print: (text) => void process.stdout.write(`${text}\n`) };
}

/** Does what the command line asks. Throws AmalgamError, UsageError or Interrupted. */
export async function execute(given: Arguments, around: Surroundings): Promise<ExitCode> {
  onSetup((line) => around.printer.notice(line));
  switch (given.command) {
    case "init":
      return init(given, around);
    case "doctor":
      return doctor(given, around);
    case "status":
      return status(given, around);
    case "recover":
      return recover(given, around);
    case "chat":
      return chat(given, around);
    case "serve":
      // The server's packages take a sixth of the time in which any other command begins.
      return (await import("./serve-command.ts")).serveModels(given, around);
    case "sweep":
      return sweep(given, around);
    case "export":
      await exportCommand(given, around);
      return 0;
    case "inspect":
      return inspectCommand(given, around);
    case "data":
      return dataCommand(given, around);
    case "agreement":
      await agreementCommand(given, around);
      return 0;
    case "leaderboard":
      await leaderboardCommand(given, around);
      return 0;
    case "gc":
      await gcCommand(given, around);
      return 0;
    case "import":
      await importCommand(given, around);
      return 0;
    case "evaluate":
      if (given.suite === undefined) return work(given, "evaluate", around);
      await suiteCommand(given, given.suite, around);
      return 0;
    case "train":
      return given.training === undefined ? work(given, "train", around) : train(given, given.training, around);
    default:
      return work(given, given.command, around);
  }
}

function init(given: Arguments, { print }: Surroundings): ExitCode {
  const { target } = given;
  refuseFile(given);
  if (target === undefined) throw new UsageError("name the folder to write into: amalgam init FOLDER");
  const files = initRun(target);
  print(["Wrote", ...files.map((file) => `  ${file}`)].join("\n"));
  print(`Next: edit them, then \`amalgam doctor ${target}\` and \`amalgam run ${target}\`.`);
  return 0;
}

async function work(
  given: Arguments,
  command: "run" | StageCommand,
  { signal, printer, print }: Surroundings,
): Promise<ExitCode> {
  const folder = runFolder(given);
  const run = await openRun({
    folder,
    ...(given.recipe === undefined ? {} : { recipeFile: given.recipe }),
    overrides: given.set,
    signal,
    listener: printer,
    offline: given.offline,
    profile: given.profile,
    retry: given.retry,
  });
  try {
    if (command === "run") {
      await runAll(run);
      printer.clear();
      print(await runSummary(run));
    } else {
      const next = await runCommand(run, command);
      printer.clear();
      print(next === undefined ? "The run is complete." : `Next: amalgam ${next} ${folder}`);
    }
  } finally {
    await run.close();
    printer.clear();
  }
  if (command === "evaluate") print(statusText(await runStatus(folder)));
  return 0;
}

async function train(given: Arguments, training: DataTraining, around: Surroundings): Promise<ExitCode> {
  const { signal, printer, print } = around;
  const report = await trainOnData({
    ...training,
    settings: given.set,
    signal,
    listener: printer,
    offline: given.offline,
    profile: given.profile,
  });
  printer.clear();
  print(trainingText(report));
  return 0;
}

async function sweep(given: Arguments, { signal, printer, print }: Surroundings): Promise<ExitCode> {
  const { sweep: file, target: folder, recipe } = given;
  if (file === undefined || folder === undefined)
    throw new UsageError(
      "name the sweep and the folder for its runs: amalgam sweep SWEEP.yaml FOLDER",
      "`recipes/ablations` has some sweeps.",
    );
  refuseFile(given);
  const report = await runSweep({
    file,
    folder,
    ...(recipe === undefined ? {} : { recipeFile: recipe }),
    overrides: given.set,
    signal,
    listener: printer,
    offline: given.offline,
  });
  printer.clear();
  print(sweepText(report, folder));
  return report.variants.every(({ done }) => done) ? 0 : 1;
}

async function status(given: Arguments, { print }: Surroundings): Promise<ExitCode> {
  const named = given.target ?? ".";
  if (isSweep(named)) {
    const found = await sweepStatus(named);
    print(given.json ? JSON.stringify(found, null, 2) : sweepStatusText(found));
    return 0;
  }
  const found = await runStatus(runFolder(given));
  print(given.json ? JSON.stringify(found, null, 2) : statusText(found));
  return 0;
}

async function recover(given: Arguments, { print }: Surroundings): Promise<ExitCode> {
  const folder = runFolder(given);
  print(recoveryText(await recoverLedger(folder), folder));
  return 0;
}

async function doctor(given: Arguments, { signal, printer, print }: Surroundings): Promise<ExitCode> {
  const findings: Finding[] = [];
  const folder = runFolderIfAny(given);
  for await (const finding of diagnose({
    folder,
    recipeFile: given.recipe,
    overrides: given.set,
    offline: given.offline,
    signal,
    notify: (line) => printer.notice(line),
  })) {
    findings.push(finding);
    if (!given.json) print(findingText(finding));
  }
  print(given.json ? JSON.stringify(findings, null, 2) : doctorSummary(findings));
  return findings.some(({ outcome }) => outcome === "problem") ? 1 : 0;
}

async function chat(given: Arguments, { signal, output, printer }: Surroundings): Promise<ExitCode> {
  if (given.target === undefined) throw new UsageError("name a model or a run folder: amalgam chat MODEL");
  if (/\.(ya?ml|db)$/i.test(given.target)) refuseFile(given);
  const opened = await openChat(given.target, {
    temperature: numberOption("temperature", given.temperature, 0.7, (value) => value >= 0),
    topP: 0.95,
    maxTokens: numberOption("max-tokens", given.maxTokens, 1024, (value) => Number.isInteger(value) && value > 0),
    ...(given.precision === undefined ? {} : { precision: given.precision }),
    offline: given.offline,
    progress: ({ label, step, doneBytes, totalBytes }) => {
      if (step === "done") printer.clear();
      else if (output.terminal)
        output.write(`\r\x1b[K${label}: ${formatBytes(doneBytes)} of ${formatBytes(totalBytes)}`);
    },
  });
  try {
    if (process.stdin.isTTY === true) await chatLoop(opened);
    else await chatOnce(opened, signal);
  } finally {
    await opened.close();
  }
  return 0;
}

import { describe, expect, test } from "vitest";
import { parseArguments } from "./arguments.ts";
import { commands } from "./command-table.ts";
import { commandHelp, generalHelp } from "./help.ts";
import { UsageError } from "./usage-error.ts";

function refusal(...words: string[]): [message: string, hint: string | undefined] {
  try {
    parseArguments(words);
  } catch (error) {
    if (error instanceof UsageError) return [error.message, error.hint];
    throw error;
  }
  throw new Error("the command line was accepted");
}

describe("a command line", () => {
  test("names a command, a folder and options in any order", () => {
    const expected = {
      command: "run",
      target: "runs/one",
      recipe: "r.yaml",
      set: ["a=1", "b.c=x=y"],
      offline: true,
      json: false,
    };
    for (const words of [
      ["run", "runs/one", "--recipe", "r.yaml", "--set", "a=1", "--set=b.c=x=y", "--offline"],
      ["--offline", "run", "--set", "a=1", "--recipe=r.yaml", "--set", "b.c=x=y", "runs/one"],
    ]) {
      expect(parseArguments(words)).toMatchObject({ kind: "run", arguments: expected });
    }
  });

  test("a folder that begins with a dash comes after --", () => {
    expect(parseArguments(["status", "--", "-odd"])).toMatchObject({ arguments: { target: "-odd" } });
  });

  test("of a sweep names its file, then the folder", () => {
    for (const words of [
      ["sweep", "a.yaml", "runs/a", "--set", "seed=1"],
      ["sweep", "--set", "seed=1", "a.yaml", "runs/a"],
    ])
      expect(parseArguments(words)).toMatchObject({
        arguments: { command: "sweep", sweep: "a.yaml", target: "runs/a", set: ["seed=1"] },
      });
    expect(refusal("sweep", "a.yaml", "b", "c")[0]).toBe(
      "sweep takes one SWEEP.yaml FOLDER, and was given a.yaml and b and c",
    );
    expect(refusal("sweep", "a.yaml", "b", "--json")[0]).toBe("sweep has no option --json");
  });

  test("of data names what is done and the file", () => {
    expect(parseArguments(["data", "check", "a.jsonl", "--against", "b", "--against=c", "--ngram", "8"])).toMatchObject(
      {
        arguments: {
          command: "data",
          target: "a.jsonl",
          data: { action: "check", against: ["b", "c"], ngram: 8, nearDuplicates: 0.8, maxCharacters: 100_000 },
        },
      },
    );
    expect(refusal("data")[0]).toMatch(/^say what to do with the data: amalgam data check FILE, or/);
    expect(parseArguments(["data", "convert", "a.jsonl", "b.parquet", "--to", "texts", "--lossy"])).toMatchObject({
      arguments: {
        target: "a.jsonl",
        destination: "b.parquet",
        data: { action: "convert", to: "texts", split: undefined, lossy: true },
      },
    });
    expect(refusal("data", "convert", "a", "b")[0]).toMatch(/^--to is missing/);
    expect(refusal("data", "convert", "a", "b", "--to", "text")).toEqual([
      "--to text: there is no such form",
      expect.stringContaining("Did you mean texts?"),
    ]);
    expect(refusal("data", "convert", "a", "b", "--to", "texts", "--ngram", "3")[0]).toBe(
      "data convert has no option --ngram",
    );
    expect(refusal("data", "check", "a", "--lossy")[0]).toBe("data check has no option --lossy");
    expect(refusal("data", "mend", "a.jsonl")[0]).toBe("data has no command mend");
    expect(refusal("data", "check", "a", "--ngram", "0.5")[0]).toBe("--ngram 0.5: not a number that it can be");
    expect(refusal("data", "check", "a", "b")[0]).toContain("was given a and b");
  });

  test("of inspect says what is shown", () => {
    const words = ["inspect", "run", "--id", "a", "--id", "b", "--min-gap", "-0.5", "--flag", "mixed", "--sample", "5"];
    expect(parseArguments(words)).toMatchObject({
      arguments: {
        target: "run",
        inspect: {
          filter: { ids: ["a", "b"], minGap: -0.5, maxGap: undefined, flag: "mixed" },
          sample: { size: 5, seed: 0 },
          limit: undefined,
          page: undefined,
        },
      },
    });
    expect(refusal("inspect", "run", "--flag", "odd")[0]).toBe("--flag odd: there is no such flag");
    expect(refusal("inspect", "run", "--seed", "1")[0]).toBe("--seed belongs to --sample N");
  });

  test("of export says in which form", () => {
    expect(parseArguments(["export", "run", "out", "--as", "dataset"])).toMatchObject({
      arguments: { form: "dataset" },
    });
    expect(parseArguments(["export", "run", "out"])).toMatchObject({ arguments: { form: "run" } });
    expect(refusal("export", "run", "out", "--as", "csv")[0]).toBe("--as csv: it is run or dataset");
  });

  test("asks for help or the version", () => {
    for (const words of [[], ["--help"], ["-h"], ["help"]]) {
      expect(parseArguments(words)).toEqual({ kind: "help", command: undefined });
    }
    for (const words of [
      ["run", "--help"],
      ["run", "-h"],
      ["help", "run"],
      ["run", "x", "--recipe", "y", "--help"],
    ]) {
      expect(parseArguments(words)).toEqual({ kind: "help", command: "run" });
    }
    expect(parseArguments(["--version"])).toEqual({ kind: "version" });
  });
});

describe("what no command knows is refused", () => {
  test("with what was probably meant", () => {
    expect(refusal("sampel")).toEqual([
      "unknown command sampel",
      "Did you mean sample? `amalgam --help` lists the commands.",
    ]);
    expect(refusal("frobnicate")[1]).toBe("`amalgam --help` lists the commands.");
    expect(refusal("--verison")).toEqual([
      "unknown option --verison",
      "Did you mean --version? `amalgam --help` lists the commands.",
    ]);
    expect(refusal("run", "--recpie", "x")).toEqual([
      "run has no option --recpie",
      "Did you mean --recipe? `amalgam run --help` lists them.",
    ]);
  });

  test("an option of another command, a short one, a negated one", () => {
    expect(refusal("status", "--recipe", "x")[0]).toBe("status has no option --recipe");
    expect(refusal("run", "-r", "x")[0]).toBe("run has no option -r");
    expect(refusal("run", "--no-offline")[0]).toBe("run has no option --no-offline");
  });

  test("a missing or superfluous value, an option or folder too many", () => {
    expect(refusal("run", "--recipe")[0]).toBe("--recipe wants a value: --recipe FILE");
    expect(refusal("run", "--recipe", "--offline")[0]).toBe("--recipe wants a value: --recipe FILE");
    expect(refusal("run", "--offline=yes")[0]).toBe("--offline takes no value");
    expect(refusal("run", "--recipe", "a", "--recipe", "b")[0]).toBe("--recipe stands twice");
    expect(refusal("run", "a", "b")[0]).toBe("run takes one RUN FOLDER, and was given a and b");
    expect(refusal("run", "--set", "alpha")[0]).toBe("--set alpha names no field and value");
  });
});

/** The options are an interface that scripts rely on: a change here is a change for them. */
test("commands and options stay as they are", () => {
  expect(generalHelp()).toMatchInlineSnapshot(`
    "amalgam: many language models in, one model out (WRPO)

    Usage: amalgam COMMAND [RUN FOLDER] [OPTIONS]

    Commands:
      init         write a recipe and a few prompts to begin with
      doctor       check the machine, and a recipe's models, endpoints, prompts and needs
      run          the whole way: sample, score, select, tune, WRPO, evaluate, report
      sample       draw the responses of the sources; after the tuning, those of the tuned target
      score        give every response its reward
      select       choose the responses to tune on; after the tuning, the quadruples for WRPO
      train        tune the target on the best responses, then WRPO on the quadruples; or train on data of your own
      evaluate     compare a run's models on held-out prompts; or with --suite, any models by benchmarks
      sweep        run variants of a recipe, sharing what they have in common, and compare them
      status       how far a run or a sweep is; it may be running
      recover      check a run's ledger, and save what can be read of a damaged one
      inspect      browse prompts and responses of a run or of data, in the terminal or as a page
      export       write a whole run as Parquet files, or what it selected as a data set
      import       make a run of an export
      data         \`check FILE\`: what is wrong with a file of preferences; \`convert FILE NEW\`: write it in another form
      agreement    how far the rewards of a recipe agree with the labels of a file, and with each other
      leaderboard  AlpacaEval's win rates, length-controlled ones too, from a judge's annotations
      gc           remove from a run what its recipe no longer refers to
      chat         talk to a model, or to the fused model of a run
      serve        serve models over OpenAI's HTTP API

    Options:
      --help, -h     this text; after a command, the text of that command
      --version, -v  the version of Amalgam

    A first run: amalgam init my-run && amalgam doctor my-run && amalgam run my-run"
  `);
  const optionsOf = (help: string) =>
    help
      .slice(help.indexOf("Options:\n") + 9)
      .split("\n")
      .map((line) => line.trim().split(/ {2,}/)[0]);
  const usage = (Object.keys(commands) as (keyof typeof commands)[]).map((name) => {
    const help = commandHelp(name);
    return [help.split("\n")[0], ...optionsOf(help)];
  });
  expect(usage).toMatchInlineSnapshot(`
    [
      [
        "Usage: amalgam init FOLDER",
        "--help, -h",
      ],
      [
        "Usage: amalgam doctor [RUN FOLDER] [OPTIONS]",
        "--recipe FILE",
        "--set FIELD=VALUE",
        "--offline",
        "--json",
        "--help, -h",
      ],
      [
        "Usage: amalgam run [RUN FOLDER] [OPTIONS]",
        "--recipe FILE",
        "--set FIELD=VALUE",
        "--offline",
        "--profile",
        "--help, -h",
      ],
      [
        "Usage: amalgam sample [RUN FOLDER] [OPTIONS]",
        "--recipe FILE",
        "--set FIELD=VALUE",
        "--offline",
        "--retry",
        "--help, -h",
      ],
      [
        "Usage: amalgam score [RUN FOLDER] [OPTIONS]",
        "--recipe FILE",
        "--set FIELD=VALUE",
        "--offline",
        "--help, -h",
      ],
      [
        "Usage: amalgam select [RUN FOLDER] [OPTIONS]",
        "--recipe FILE",
        "--set FIELD=VALUE",
        "--offline",
        "--help, -h",
      ],
      [
        "Usage: amalgam train [RUN FOLDER] [OPTIONS]",
        "--recipe FILE",
        "--set FIELD=VALUE",
        "--data FILE",
        "--split NAME",
        "--eval-data FILE",
        "--eval-split NAME",
        "--objective NAME",
        "--model MODEL",
        "--output FOLDER",
        "--offline",
        "--profile",
        "--help, -h",
      ],
      [
        "Usage: amalgam evaluate [RUN FOLDER | MODEL...] [OPTIONS]",
        "--recipe FILE",
        "--suite NAME|FILE",
        "--data FILE",
        "--output FOLDER",
        "--set FIELD=VALUE",
        "--offline",
        "--json",
        "--help, -h",
      ],
      [
        "Usage: amalgam sweep SWEEP.yaml FOLDER [OPTIONS]",
        "--recipe FILE",
        "--set FIELD=VALUE",
        "--offline",
        "--help, -h",
      ],
      [
        "Usage: amalgam status [RUN FOLDER] [OPTIONS]",
        "--json",
        "--help, -h",
      ],
      [
        "Usage: amalgam recover [RUN FOLDER]",
        "--help, -h",
      ],
      [
        "Usage: amalgam inspect [RUN FOLDER, FILE OR DATA FOLDER] [OPTIONS]",
        "--id ID",
        "--source NAME",
        "--domain NAME",
        "--flag NAME",
        "--search TEXT",
        "--min-gap NUMBER",
        "--max-gap NUMBER",
        "--sample N",
        "--seed NUMBER",
        "--most N",
        "--html FILE",
        "--split NAME",
        "--help, -h",
      ],
      [
        "Usage: amalgam export RUN FOLDER [OPTIONS]",
        "--as run|dataset",
        "--without-models",
        "--help, -h",
      ],
      [
        "Usage: amalgam import FOLDER RUN [OPTIONS]",
        "--set FIELD=VALUE",
        "--help, -h",
      ],
      [
        "Usage: amalgam data check FILE | convert FILE NEW [OPTIONS]",
        "--against FILE",
        "--ngram WORDS",
        "--near-duplicates SHARE",
        "--max-characters NUMBER",
        "--to FORM",
        "--split NAME",
        "--lossy",
        "--json",
        "--help, -h",
      ],
      [
        "Usage: amalgam agreement FILE FOLDER [OPTIONS]",
        "--recipe FILE",
        "--set FIELD=VALUE",
        "--split NAME",
        "--offline",
        "--json",
        "--help, -h",
      ],
      [
        "Usage: amalgam leaderboard ANNOTATIONS... [OPTIONS]",
        "--gamed FILE",
        "--fold-order scalar|avx512",
        "--json",
        "--help, -h",
      ],
      [
        "Usage: amalgam gc [RUN FOLDER] [OPTIONS]",
        "--dry-run",
        "--offline",
        "--help, -h",
      ],
      [
        "Usage: amalgam chat MODEL OR RUN FOLDER [OPTIONS]",
        "--temperature NUMBER",
        "--max-tokens NUMBER",
        "--precision auto|fp32|bf16",
        "--offline",
        "--help, -h",
      ],
      [
        "Usage: amalgam serve [MODEL OR RUN FOLDER] [OPTIONS]",
        "--model MODEL",
        "--adapter NAME=FOLDER",
        "--adapter-root FOLDER",
        "--host ADDRESS",
        "--port NUMBER",
        "--key-env VARIABLE",
        "--cache NAME=MIB",
        "--limit FIELD=NUMBER",
        "--precision auto|fp32|bf16",
        "--device DEVICE",
        "--offline",
        "--help, -h",
      ],
    ]
  `);
});

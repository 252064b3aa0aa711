import { type CommandName, commands, type OptionName, options } from "./command-table.ts";

/** Two columns, the first as wide as its longest entry. */
function columns(rows: readonly (readonly [left: string, right: string])[]): string[] {
  const width = Math.max(...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`);
}

const names = Object.keys(commands) as CommandName[];

/** What `amalgam --help` prints. */
export function generalHelp(): string {
  return [
    "amalgam: many language models in, one model out (WRPO)",
    "",
    "Usage: amalgam COMMAND [RUN FOLDER] [OPTIONS]",
    "",
    "Commands:",
    ...columns(names.map((name) => [name, commands[name].summary])),
    "",
    "Options:",
    ...columns([
      ["--help, -h", "this text; after a command, the text of that command"],
      ["--version, -v", "the version of Amalgam"],
    ]),
    "",
    "A first run: amalgam init my-run && amalgam doctor my-run && amalgam run my-run",
  ].join("\n");
}

/** What `amalgam COMMAND --help` prints. */
export function commandHelp(name: CommandName): string {
  const { summary, positional, optional, details } = commands[name];
  const known: readonly OptionName[] = commands[name].options;
  const rows = known.map((option): [string, string] => {
    const { value, text } = options[option];
    return [value === undefined ? `--${option}` : `--${option} ${value}`, text];
  });
  return [
    `Usage: amalgam ${name} ${optional ? `[${positional}]` : positional}${known.length > 0 ? " [OPTIONS]" : ""}`,
    "",
    `${summary[0]!.toUpperCase()}${summary.slice(1)}. ${details}`,
    "",
    "Options:",
    ...columns([...rows, ["--help, -h", "this text"]]),
  ].join("\n");
}

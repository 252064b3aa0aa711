import { wordDiff } from "../../preferences/index.ts";
import { flagWords } from "../../schema/index.ts";
import { visible } from "../report/escape.ts";
import { number, signed } from "../report/format.ts";
import { gapOf, pairOf, type Role, rewardWords, type Shown, type ShownResponse } from "./record.ts";

/** Longest text that is shown, in characters. */
export const shownLength = 20_000;

export const roleWords: Readonly<Record<Role, string>> = {
  y_ws: "y_ws, the best of the sources",
  y_wt: "y_wt, the target's best",
  y_l: "y_l, the target's worst",
  y_ls: "y_ls, the worst of the source of y_ws",
  chosen: "chosen",
  rejected: "rejected",
  answer: "answer",
};

/** A prompt for the terminal: plain text in which no character moves the cursor. */
export function recordText(shown: Shown): string {
  const { id, place, domain, messages, responses, leftOut } = shown;
  const gap = gapOf(shown);
  const facts = [
    place,
    ...(domain === undefined ? [] : [`domain ${domain}`]),
    ...(gap === undefined ? [] : [`gap ${signed(gap)}`]),
  ];
  return [
    `== ${oneLine(id)} (${oneLine(facts.join(", "))})`,
    ...(leftOut === undefined ? [] : [`Left out: ${oneLine(leftOut)}`]),
    ...messages.flatMap(({ role, content }) => [`${oneLine(role)}:`, indented(content)]),
    ...responses.flatMap((response, at) => ["", responseHead(response, at + 1), ...responseBody(response)]),
    ...(responses.length === 0 ? ["", "No response yet."] : []),
    ...diffLines(shown),
    "",
  ].join("\n");
}

function responseHead(response: ShownResponse, rank: number): string {
  const { source, index, tokens, finish, roles } = response;
  const name = [source, index === undefined ? undefined : `#${index}`].filter((word) => word !== undefined).join(" ");
  const facts = [
    name,
    rewardWords(response, "reward "),
    ...(tokens === undefined ? [] : [`${tokens} tokens`]),
    ...(finish === "length" ? ["cut off"] : []),
    ...roles.map((role) => `<- ${roleWords[role]}`),
  ];
  return `-- ${rank}. ${oneLine(facts.filter((fact) => fact !== "").join(", "))}`;
}

function responseBody({ parts, flags, text }: ShownResponse): string[] {
  return [...partLines(parts), ...flags.map((flag) => `   ! ${flag}: ${flagWords[flag]}`), indented(text)];
}

/** What counts, with its share; and on a line of their own the figures that stand beside it. */
function partLines(parts: ShownResponse["parts"]): string[] {
  const counting = parts.filter(({ weight }) => weight !== 0);
  const beside = parts.filter(({ weight }) => weight === 0);
  return [
    counting.map(({ name, value, weight }) => `${name} ${number(value)} x ${number(weight)}`).join(", "),
    beside.length === 0 ? "" : `beside: ${beside.map(({ name, value }) => `${name} ${number(value)}`).join(", ")}`,
  ].flatMap((line) => (line === "" ? [] : [`   ${oneLine(line)}`]));
}

function diffLines(shown: Shown): string[] {
  const pair = pairOf(shown);
  if (pair === undefined) return [];
  const parts = wordDiff(pair.rejected.text, pair.chosen.text);
  const head = "-- From the rejected to the chosen: [-only rejected-] {+only chosen+}";
  if (parts === undefined) return ["", head, "    They differ in more than 2,000 words."];
  const text = parts.map((part) =>
    part.kind === "same" ? part.text : part.kind === "removed" ? `[-${part.text}-]` : `{+${part.text}+}`,
  );
  return ["", head, indented(text.join(""))];
}

/** What is beyond the limit of a text, in words; undefined where it is whole. */
export function cutText(text: string): { readonly text: string; readonly more: string | undefined } {
  if (text.length <= shownLength) return { text, more: undefined };
  // No character is cut in two.
  const shown = text.slice(0, /[\ud800-\udbff]/.test(text[shownLength - 1]!) ? shownLength - 1 : shownLength);
  return { text: shown, more: `${(text.length - shown.length).toLocaleString("en-US")} more characters are not shown` };
}

const oneLine = (text: string) => visible(text).replace(/[\n\t\u2028\u2029]/g, " ");

function indented(given: string): string {
  const { text, more } = cutText(given);
  const lines = visible(text).split("\n");
  return [...lines, ...(more === undefined ? [] : [`... (${more})`])].map((line) => `    ${line}`).join("\n");
}

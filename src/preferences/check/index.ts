import { setImmediate as nextTurn } from "node:timers/promises";
import { placeWord } from "../../data/index.ts";
import { contentKey, type DataError, type Turn } from "../../schema/index.ts";
import type { Example, TextRole } from "../data-examples.ts";
import { templateToken } from "../flags.ts";
import { nearDuplicates } from "../near-duplicates.ts";
import { type PlacedExamples, readExamples } from "../read-examples.ts";
import { type SpooledTexts, spooledTexts } from "../spooled-texts.ts";
import { digestTable } from "./digest-table.ts";
import { readHeldOut } from "./held-out.ts";
import { type LengthFigures, lengths } from "./lengths.ts";

/** What is looked for, in words. */
export const dataProblems = {
  form: "rows that can't be read or break the form",
  empty: "responses without a text",
  same: "chosen and rejected responses that are the same",
  fault: "rows from which nothing can be learnt",
  score: "scores that are no number, or higher for the rejected response",
  surrogate: "texts with half a surrogate pair, which is no character",
  duplicate: "rows that say just what an earlier one says",
  contradiction: "pairs that another row has the other way round",
  template: "tokens of chat templates inside texts",
  leak: "rows that share words with an evaluation set",
  long: "rows beyond the limit of characters",
} as const;

/** What is worth knowing and need not be wrong. */
export const dataNotes = {
  near_duplicate: "prompts that are nearly an earlier one",
  repeated_prompt: "prompts that an earlier row has, with other responses",
} as const;

export type DataFinding = keyof typeof dataProblems | keyof typeof dataNotes;

/** Where something was found. */
export interface FoundInRow {
  /** A line, or the row of a Parquet or Arrow file. */
  readonly line: number;
  readonly message: string;
  /** The field of the row, where one alone is meant. */
  readonly field?: string;
}

export interface Findings {
  readonly count: number;
  /** The first of them, 1,000 at most. */
  readonly first: readonly FoundInRow[];
}

/** What `checkData` found. */
export interface DataCheck {
  readonly file: string;
  /** How the file is read; null where no row is of a known form. */
  readonly format: string | null;
  readonly rows: number;
  readonly problems: Readonly<Partial<Record<keyof typeof dataProblems, Findings>>>;
  readonly notes: Readonly<Partial<Record<keyof typeof dataNotes, Findings>>>;
  /** Lengths in characters of prompts and of responses of each role. */
  readonly lengths: Readonly<Record<string, LengthFigures>>;
  /** Of the pairs whose two lengths differ, those whose chosen response is the longer one. */
  readonly chosenLonger: { readonly longer: number; readonly pairs: number };
}

export interface DataCheckOptions {
  /** Files with prompts that must not be learnt from. */
  readonly against: readonly string[];
  /** Words in a row that count as a leak. */
  readonly ngram: number;
  /** Similarity from which on prompts are near duplicates; 0 looks for none. */
  readonly nearDuplicates: number;
  /** Most characters of a row, all of its texts together. */
  readonly maxCharacters: number;
  /** Called now and then. Throws to end the check. */
  readonly progress: (rows: number) => void;
}

/** Findings of a kind that are kept with their places. */
const kept = 1000;
/** Characters of a prompt by which near duplicates are found. */
const comparedCharacters = 20_000;

/**
 * Looks for what is wrong with a file of preferences (or of answers) of any format that is read. Texts are read one row at a
 * time; what stays in memory for each row are digests of 24 to 48 bytes (one of the row, one of the prompt, one of each pair) and,
 * for near duplicates, about 400 bytes, while the prompts' texts wait in a temporary file. Evaluation sets stay by their runs of words.
 *
 * @throws DataError where the file or an evaluation set can't be read at all
 */
export async function checkData(file: string, options: DataCheckOptions): Promise<DataCheck> {
  const found = new Map<DataFinding, { count: number; first: FoundInRow[] }>();
  const note = (kind: DataFinding, row: FoundInRow) => {
    const of = found.get(kind) ?? { count: 0, first: [] };
    found.set(kind, of);
    of.count += 1;
    if (of.first.length < kept) of.first.push(row);
  };
  const heldOut = options.against.length === 0 ? undefined : await readHeldOut(options.against, options.ngram);
  const spool =
    options.nearDuplicates > 0 ? spooledTexts("go without near duplicates (--near-duplicates 0)") : undefined;
  const place = placeWord(file);
  const seen = { rows: digestTable(), prompts: digestTable(), pairs: digestTable() };
  const measured = new Map<string, ReturnType<typeof lengths>>();
  const measure = (name: string, text: string) => {
    const of = measured.get(name) ?? lengths();
    measured.set(name, of);
    of.add(text.length);
  };
  const promptLines: number[] = [];
  const chosenLonger = { longer: 0, pairs: 0 };
  let format: string | null = null;
  let rows = 0;
  try {
    const bad = ({ message, place: { line = 0, field } }: DataError) => {
      rows += 1;
      note("form", { line, message, ...(field === undefined ? {} : { field }) });
    };
    for await (const row of readExamples(file, bad)) {
      rows += 1;
      format = row.format;
      checkRow(row);
      if (rows % 256 !== 0) continue;
      options.progress(rows);
      await nextTurn();
    }
    if (spool !== undefined) noteNearDuplicates(spool);
  } finally {
    spool?.close();
  }
  const of = <Kind extends DataFinding>(kinds: Readonly<Record<Kind, string>>) =>
    Object.fromEntries(
      (Object.keys(kinds) as Kind[]).flatMap((kind) => (found.has(kind) ? [[kind, found.get(kind)]] : [])),
    ) as Partial<Record<Kind, Findings>>;
  return {
    file,
    format,
    rows,
    problems: of(dataProblems),
    notes: of(dataNotes),
    lengths: Object.fromEntries([...measured].map(([name, lengthsOf]) => [name, lengthsOf.figures()!])),
    chosenLonger,
  };

  function checkRow(row: PlacedExamples): void {
    const { line, scores } = row;
    const numbers = Object.entries(scores);
    for (const [side, value] of numbers)
      if (!Number.isFinite(value)) note("score", { line, field: `score_${side}`, message: "the score is no number" });
    if (scores.chosen !== undefined && scores.rejected !== undefined && scores.chosen < scores.rejected)
      note("score", { line, message: `score_chosen ${scores.chosen} is below score_rejected ${scores.rejected}` });
    for (const example of row.examples) checkExample(example, line);
  }

  function checkExample(example: Example, line: number): void {
    const { messages, fault, label } = example;
    const texts = textsOf(example);
    const prompt = digestOf(messages);
    if (fault !== undefined) note("fault", { line, message: fault });
    const same = checkTexts(texts, messages, line, fault !== undefined);
    const key = contentKey([prompt, label, texts.map(({ role, text }) => [role, text])]);
    const twin = seen.rows.put(key, line);
    if (twin !== undefined) note("duplicate", { line, message: `says what ${place} ${twin} says` });
    const earlier = seen.prompts.put(prompt, line);
    if (earlier !== undefined && earlier !== line && twin === undefined)
      note("repeated_prompt", { line, message: `has the prompt of ${place} ${earlier}` });
    if (twin === undefined && !same) for (const text of texts) checkOrder(prompt, text, texts, label, line);
    if (heldOut !== undefined) checkLeak(userText(messages), texts, line);
    if (earlier !== undefined || spool === undefined) return;
    spool.add(userText(messages).slice(0, comparedCharacters));
    promptLines.push(line);
  }

  /** Looks at each text by itself, and gives whether all of a pair's are the same. */
  function checkTexts(texts: readonly RoleText[], messages: readonly Turn[], line: number, faulty: boolean): boolean {
    const all = [...messages.map(({ content }) => content), ...texts.map(({ text }) => text)];
    measure("prompt", messages.map(({ content }) => content).join(""));
    for (const { role, text } of texts) {
      // A fault's row has empty texts in the place of those that it lacks.
      if (faulty) break;
      measure(role, text);
      if (text.trim() === "") note("empty", { line, field: role, message: "the response is empty" });
    }
    for (const text of all) {
      const token = templateToken(text);
      if (token !== undefined) note("template", { line, message: `${token} stands in a text` });
    }
    if (!all.every((text) => text.isWellFormed())) note("surrogate", { line, message: "half a surrogate pair" });
    const characters = all.reduce((sum, text) => sum + text.length, 0);
    if (characters > options.maxCharacters) note("long", { line, message: `${characters} characters` });
    const rejected = texts.filter(({ role }) => role === "rejected").map(({ text }) => text);
    const chosen = texts.filter(({ role }) => role.endsWith("_chosen"));
    for (const { role, text } of chosen) {
      if (faulty || !rejected.includes(text)) continue;
      note("same", { line, field: role, message: "the chosen and the rejected response are the same" });
    }
    const target = chosen.find(({ role }) => role === "target_chosen");
    if (target !== undefined && rejected[0] !== undefined && target.text.length !== rejected[0].length) {
      chosenLonger.pairs += 1;
      if (target.text.length > rejected[0].length) chosenLonger.longer += 1;
    }
    return rejected.length > 0 && chosen.every(({ text }) => rejected.includes(text));
  }

  /** Keeps "this one is better than that one", and looks for the opposite. */
  function checkOrder(
    prompt: string,
    { role, text }: RoleText,
    texts: readonly RoleText[],
    label: boolean | undefined,
    line: number,
  ): void {
    if (role === "completion" && label !== undefined) {
      const other = seen.pairs.get(contentKey([prompt, text, !label]));
      seen.pairs.put(contentKey([prompt, text, label]), line);
      if (other !== undefined) note("contradiction", { line, message: `${place} ${other} has the opposite label` });
    }
    if (!role.endsWith("_chosen")) return;
    for (const { role: otherRole, text: worse } of texts) {
      if (otherRole !== "rejected" || worse === text) continue;
      const other = seen.pairs.get(contentKey([prompt, worse, text]));
      seen.pairs.put(contentKey([prompt, text, worse]), line);
      if (other !== undefined)
        note("contradiction", { line, message: `${place} ${other} has this pair the other way round` });
    }
  }

  function checkLeak(prompt: string, texts: readonly RoleText[], line: number): void {
    for (const { role, text } of [{ role: "prompt", text: prompt }, ...texts]) {
      const leak = heldOut!.leak(text);
      if (leak === undefined) continue;
      const share = `${Math.round(leak.overlap * 100)} % of its runs of words`;
      note("leak", { line, field: role, message: `shares ${share} with ${leak.with}` });
    }
  }

  function noteNearDuplicates(texts: SpooledTexts): void {
    for (const { index, of: earlier, similarity } of nearDuplicates(texts, options.nearDuplicates))
      note("near_duplicate", {
        line: promptLines[index]!,
        message: `is like the prompt of ${place} ${promptLines[earlier]} (${similarity.toFixed(2)})`,
      });
  }
}

interface RoleText {
  readonly role: TextRole;
  readonly text: string;
}

const textsOf = ({ texts }: Example): RoleText[] =>
  (Object.entries(texts) as [TextRole, readonly string[]][]).flatMap(([role, list]) =>
    list.map((text) => ({ role, text })),
  );

/** A prompt without what surrounds its texts. */
const digestOf = (messages: readonly Turn[]): string =>
  contentKey(messages.map(({ role, content }) => [role, content.trim()]));

const userText = (messages: readonly Turn[]): string =>
  messages
    .filter(({ role }) => role === "user")
    .map(({ content }) => content)
    .join("\n");

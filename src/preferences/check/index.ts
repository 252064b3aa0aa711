import { setImmediate as nextTurn } from "node:timers/promises";
import { filesOfAll } from "../../data/index.ts";
import { contentKey, type DataError, type Turn } from "../../schema/index.ts";
import type { Example, TextRole } from "../data-examples.ts";
import { templateToken } from "../flags.ts";
import { nearDuplicates } from "../near-duplicates.ts";
import { type PlacedExamples, readExamples } from "../read-examples.ts";
import { type SpooledTexts, spooledTexts } from "../spooled-texts.ts";
import { digestTable } from "./digest-table.ts";
import { readHeldOut } from "./held-out.ts";
import { type LengthFigures, lengths } from "./lengths.ts";
import { rowPlaces } from "./row-places.ts";

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
  /** Of a folder: in which of its files. */
  readonly file?: string;
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
  /** As it was named, a file or a folder. */
  readonly file: string;
  /** Of a folder: the files that were read. */
  readonly files?: readonly string[];
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
  /** Of a folder: its split. */
  readonly split?: string | undefined;
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
 * Looks for what is wrong with a file of preferences (or of answers) of any format that is read, or with a split of a data set's folder.
 * Texts are read one row at a time; what stays in memory for each row are digests of 24 to 48 bytes (one of the row, one of the prompt, one of each pair) and,
 * for near duplicates, about 400 bytes, while the prompts' texts wait in a temporary file. Evaluation sets stay by their runs of words.
 *
 * @throws DataError where the file or an evaluation set can't be read at all
 */
export async function checkData(path: string, options: DataCheckOptions): Promise<DataCheck> {
  const { split } = options;
  const places = rowPlaces(path, filesOfAll([path], { split }));
  const found = new Map<DataFinding, { count: number; first: FoundInRow[] }>();
  const note = (kind: DataFinding, { row, ...what }: Noted) => {
    const of = found.get(kind) ?? { count: 0, first: [] };
    found.set(kind, of);
    of.count += 1;
    if (of.first.length < kept) of.first.push({ ...places.of(row), ...what });
  };
  const heldOut = options.against.length === 0 ? undefined : await readHeldOut(options.against, options.ngram);
  const spool =
    options.nearDuplicates > 0 ? spooledTexts("go without near duplicates (--near-duplicates 0)") : undefined;
  const seen = { rows: digestTable(), prompts: digestTable(), pairs: digestTable() };
  const measured = new Map<string, ReturnType<typeof lengths>>();
  const measure = (name: string, text: string) => {
    const of = measured.get(name) ?? lengths();
    measured.set(name, of);
    of.add(text.length);
  };
  const promptRows: number[] = [];
  const chosenLonger = { longer: 0, pairs: 0 };
  const formats = new Set<string>();
  let rows = 0;
  try {
    const bad = ({ message, place: { file = path, line = 0, field } }: DataError) => {
      rows += 1;
      note("form", { row: places.number(file, line), message, ...(field === undefined ? {} : { field }) });
    };
    for await (const row of readExamples(path, bad, split)) {
      rows += 1;
      formats.add(row.format);
      checkRow(row, places.number(row.file, row.line));
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
    file: path,
    ...(places.files === undefined ? {} : { files: places.files }),
    format: formats.size === 0 ? null : [...formats].join("; "),
    rows,
    problems: of(dataProblems),
    notes: of(dataNotes),
    lengths: Object.fromEntries([...measured].map(([name, lengthsOf]) => [name, lengthsOf.figures()!])),
    chosenLonger,
  };

  function checkRow({ scores, examples }: PlacedExamples, row: number): void {
    const numbers = Object.entries(scores);
    for (const [side, value] of numbers)
      if (!Number.isFinite(value)) note("score", { row, field: `score_${side}`, message: "the score is no number" });
    if (scores.chosen !== undefined && scores.rejected !== undefined && scores.chosen < scores.rejected)
      note("score", { row, message: `score_chosen ${scores.chosen} is below score_rejected ${scores.rejected}` });
    for (const example of examples) checkExample(example, row);
  }

  function checkExample(example: Example, row: number): void {
    const { messages, fault, label } = example;
    const texts = textsOf(example);
    const prompt = digestOf(messages);
    if (fault !== undefined) note("fault", { row, message: fault });
    const same = checkTexts(texts, messages, row, fault !== undefined);
    const key = contentKey([prompt, label, texts.map(({ role, text }) => [role, text])]);
    const twin = seen.rows.put(key, row);
    if (twin !== undefined) note("duplicate", { row, message: `says what ${places.words(twin)} says` });
    const earlier = seen.prompts.put(prompt, row);
    if (earlier !== undefined && earlier !== row && twin === undefined)
      note("repeated_prompt", { row, message: `has the prompt of ${places.words(earlier)}` });
    if (twin === undefined && !same) for (const text of texts) checkOrder(prompt, text, texts, label, row);
    if (heldOut !== undefined) checkLeak(userText(messages), texts, row);
    if (earlier !== undefined || spool === undefined) return;
    spool.add(userText(messages).slice(0, comparedCharacters));
    promptRows.push(row);
  }

  /** Looks at each text by itself, and gives whether all of a pair's are the same. */
  function checkTexts(texts: readonly RoleText[], messages: readonly Turn[], row: number, faulty: boolean): boolean {
    const all = [...messages.map(({ content }) => content), ...texts.map(({ text }) => text)];
    measure("prompt", messages.map(({ content }) => content).join(""));
    for (const { role, text } of texts) {
      // A fault's row has empty texts in the place of those that it lacks.
      if (faulty) break;
      measure(role, text);
      if (text.trim() === "") note("empty", { row, field: role, message: "the response is empty" });
    }
    for (const text of all) {
      const token = templateToken(text);
      if (token !== undefined) note("template", { row, message: `${token} stands in a text` });
    }
    if (!all.every((text) => text.isWellFormed())) note("surrogate", { row, message: "half a surrogate pair" });
    const characters = all.reduce((sum, text) => sum + text.length, 0);
    if (characters > options.maxCharacters) note("long", { row, message: `${characters} characters` });
    const rejected = texts.filter(({ role }) => role === "rejected").map(({ text }) => text);
    const chosen = texts.filter(({ role }) => role.endsWith("_chosen"));
    for (const { role, text } of chosen) {
      if (faulty || !rejected.includes(text)) continue;
      note("same", { row, field: role, message: "the chosen and the rejected response are the same" });
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
    row: number,
  ): void {
    if (role === "completion" && label !== undefined) {
      const other = seen.pairs.get(contentKey([prompt, text, !label]));
      seen.pairs.put(contentKey([prompt, text, label]), row);
      if (other !== undefined) note("contradiction", { row, message: `${places.words(other)} has the opposite label` });
    }
    if (!role.endsWith("_chosen")) return;
    for (const { role: otherRole, text: worse } of texts) {
      if (otherRole !== "rejected" || worse === text) continue;
      const other = seen.pairs.get(contentKey([prompt, worse, text]));
      seen.pairs.put(contentKey([prompt, text, worse]), row);
      if (other !== undefined)
        note("contradiction", { row, message: `${places.words(other)} has this pair the other way round` });
    }
  }

  function checkLeak(prompt: string, texts: readonly RoleText[], row: number): void {
    for (const { role, text } of [{ role: "prompt", text: prompt }, ...texts]) {
      const leak = heldOut!.leak(text);
      if (leak === undefined) continue;
      const share = `${Math.round(leak.overlap * 100)} % of its runs of words`;
      note("leak", { row, field: role, message: `shares ${share} with ${leak.with}` });
    }
  }

  function noteNearDuplicates(texts: SpooledTexts): void {
    for (const { index, of: earlier, similarity } of nearDuplicates(texts, options.nearDuplicates))
      note("near_duplicate", {
        row: promptRows[index]!,
        message: `is like the prompt of ${places.words(promptRows[earlier]!)} (${similarity.toFixed(2)})`,
      });
  }
}

/** A finding with the number of its row among all rows. */
type Noted = Omit<FoundInRow, "file" | "line"> & { readonly row: number };

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

import { readdirSync } from "node:fs";
import { join } from "node:path";
import { readCsvRecords, readDataFile } from "../../data/index.ts";
import { DataError } from "../../schema/index.ts";
import { type FileRow, isFolder, splitFiles } from "./data-files.ts";

/**
 * The rows of a folder that has MMLU by subjects: the authors' (`dev/anatomy_dev.csv`, ...), or the hub's with a folder for each subject.
 * undefined for any other.
 */
export function subjectRows(path: string, split: string): AsyncGenerator<FileRow> | undefined {
  if (!isFolder(path)) return undefined;
  const table = new RegExp(`^(.+)_${split}\\.csv$`);
  const split_ = join(path, split);
  const tables = isFolder(split_)
    ? readdirSync(split_)
        .sort()
        .flatMap((name) => {
          const subject = table.exec(name)?.[1];
          return subject === undefined ? [] : [{ subject, file: join(split_, name) }];
        })
    : [];
  if (tables.length > 0) return ofTables(tables);
  const folders = readdirSync(path, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && isSubject(entry.name))
    .map(({ name }) => name)
    .sort();
  return folders.length === 0 || isFolder(join(path, "all")) ? undefined : ofFolders(path, folders, split);
}

/** Folders of the data set that are no subjects. */
const isSubject = (name: string) => !/^(\.|all$|data$|dev$|val|test$|train|auxiliary_train$)/.test(name);

async function* ofTables(
  tables: readonly { readonly subject: string; readonly file: string }[],
): AsyncGenerator<FileRow> {
  for (const { subject, file } of tables)
    for await (const { line, values } of readCsvRecords(file)) {
      const [question, a, b, c, d, answer] = values;
      // Copies of the tables may have a header.
      if (line === 1 && question?.toLowerCase() === "question" && answer?.toLowerCase() === "answer") continue;
      if (values.length !== 6)
        throw new DataError(`has ${values.length} fields, and a question of MMLU has 6`, {
          file,
          line,
          hint: "They are the question, four choices, and the letter or number of the answer.",
        });
      const value = {
        question,
        subject,
        choices: [a, b, c, d],
        answer: /^\d$/.test(answer!) ? Number(answer) : answer,
      };
      yield { file, line, value };
    }
}

async function* ofFolders(path: string, subjects: readonly string[], split: string): AsyncGenerator<FileRow> {
  for (const subject of subjects)
    for (const file of splitFiles({ name: `mmlu of ${subject}` }, join(path, subject), split))
      for await (const { line, value } of readDataFile(file))
        yield { file, line, value: { subject, ...(value as Record<string, unknown>) } };
}

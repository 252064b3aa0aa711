export { isTable, requireColumns } from "./columns.ts";
export { readCsvRecords } from "./csv.ts";
export { type DatasetPart, holdsData } from "./dataset-folder.ts";
export { isCell, type ParquetColumn } from "./parquet-columns.ts";
export { readTable, type TableRow, writeTable } from "./parquet-table.ts";
export {
  type DataLine,
  filesOf,
  filesOfAll,
  jsonLinesFile,
  placeWord,
  readDataFile,
  readRows,
  type SkipRow,
} from "./rows.ts";

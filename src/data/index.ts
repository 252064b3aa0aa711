export type { DatasetPart } from "./dataset-folder.ts";
export { type DataLine, filesOf, readDataFile, readRows } from "./rows.ts";

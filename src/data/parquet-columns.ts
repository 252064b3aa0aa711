import type { SchemaElement } from "hyparquet";

/** What a cell holds: text, yes or no, a whole number of 32 bits, a number, a moment, or a list of texts, numbers or structs. */
export type ColumnType =
  | "text"
  | "boolean"
  | "integer"
  | "real"
  | "time"
  | { readonly list: "text" | "real" | Readonly<Record<string, "text" | "real">> };

export interface ParquetColumn {
  readonly name: string;
  readonly type: ColumnType;
  readonly nullable: boolean;
}

const scalars = {
  text: { type: "BYTE_ARRAY", converted_type: "UTF8", logical_type: { type: "STRING" } },
  boolean: { type: "BOOLEAN" },
  integer: { type: "INT32" },
  real: { type: "DOUBLE" },
  time: { type: "INT64", converted_type: "TIMESTAMP_MILLIS" },
} as const satisfies Readonly<Record<string, Omit<SchemaElement, "name">>>;

const scalar = (name: string, type: keyof typeof scalars, nullable: boolean): SchemaElement => ({
  name,
  repetition_type: nullable ? "OPTIONAL" : "REQUIRED",
  ...scalars[type],
});

/** A column as Parquet's schema has it, its inner ones after it; lists as the format's standard names them. */
export function columnElements({ name, type, nullable }: ParquetColumn): SchemaElement[] {
  if (typeof type === "string") return [scalar(name, type, nullable)];
  const { list } = type;
  const element: SchemaElement[] =
    typeof list === "string"
      ? [scalar("element", list, false)]
      : [
          { name: "element", repetition_type: "REQUIRED", num_children: Object.keys(list).length },
          ...Object.entries(list).map(([field, of]) => scalar(field, of, false)),
        ];
  return [
    { name, repetition_type: nullable ? "OPTIONAL" : "REQUIRED", converted_type: "LIST", num_children: 1 },
    { name: "list", repetition_type: "REPEATED", num_children: 1 },
    ...element,
  ];
}

/** The schema of a file with these columns. */
export const fileElements = (columns: readonly ParquetColumn[]): SchemaElement[] => [
  { name: "schema", num_children: columns.length },
  ...columns.flatMap(columnElements),
];

const isScalar: Readonly<Record<keyof typeof scalars, (cell: unknown) => boolean>> = {
  boolean: (cell) => typeof cell === "boolean",
  text: (cell) => typeof cell === "string",
  integer: (cell) => Number.isInteger(cell) && Math.abs(cell as number) < 2 ** 31,
  real: (cell) => Number.isFinite(cell),
  time: (cell) => cell instanceof Date,
};

/** Whether a cell is what its column holds. */
export function isCell({ type, nullable }: ParquetColumn, cell: unknown): boolean {
  if (cell === null || cell === undefined) return nullable;
  if (typeof type === "string") return isScalar[type](cell);
  const { list } = type;
  if (!Array.isArray(cell)) return false;
  if (typeof list === "string") return cell.every(isScalar[list]);
  const fields = Object.entries(list);
  return cell.every(
    (item: unknown) =>
      typeof item === "object" &&
      item !== null &&
      fields.every(([field, of]) => isScalar[of]((item as Record<string, unknown>)[field])),
  );
}

/** A column's type in words. */
export function typeWords({ type, nullable }: ParquetColumn): string {
  const words =
    typeof type === "string"
      ? type
      : typeof type.list === "string"
        ? `list of ${type.list === "text" ? "texts" : "numbers"}`
        : `list of structs (${Object.keys(type.list).join(", ")})`;
  return nullable ? `${words} or null` : words;
}

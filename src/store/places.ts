import { type Expression, type SqlBool, sql } from "kysely";

/** A response's place: the number of its prompt's messages, and its key. */
export interface Place {
  readonly promptNo: number;
  readonly key: string;
}

/** Whether the two columns are one of these places, as an index that begins with them answers. */
export const isOneOf = (columns: readonly [promptNo: string, key: string], places: readonly Place[]) =>
  sql<SqlBool>`(${sql.join(columns.map((column) => sql.ref(column)))}) in (values ${sql.join(
    // Without the cast PostgreSQL takes the parameters of a list of values for texts.
    places.map(({ promptNo, key }) => sql`(cast(${promptNo} as integer), ${key})`),
  )})` satisfies Expression<SqlBool>;

/** At most this many rows a statement: SQLite allows 32,766 parameters, PostgreSQL 65,535. */
const rowsInOneStatement = 500;

export function* chunks<T>(items: readonly T[]): Generator<readonly T[]> {
  for (let start = 0; start < items.length; start += rowsInOneStatement) {
    yield items.slice(start, start + rowsInOneStatement);
  }
}

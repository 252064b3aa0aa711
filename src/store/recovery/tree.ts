import { childrenOf, isLeaf, type Row, rowsOn } from "./cells.ts";
import type { Pages } from "./pages.ts";

/** What can be reached of a table from its first page. */
export interface Reached {
  readonly rows: readonly Row[];
  readonly unreadable: number;
  /** Pages that the table names and that can't be read as its own. */
  readonly lostPages: number;
}

/** Reads a table along its tree; `firstPage` stands in the schema. */
export function reach(pages: Pages, firstPage: number): Reached {
  const rows: Row[] = [];
  let [lostPages, unreadable] = [0, 0];
  for (const leaf of leavesBelow(pages, firstPage)) {
    if (leaf.page === undefined) lostPages += 1;
    else
      for (const row of rowsOn(pages, leaf.page, leaf.number)) {
        if (row === undefined) unreadable += 1;
        else rows.push(row);
      }
  }
  return { rows, unreadable, lostPages };
}

/** The greatest row number that the dividing pages of a table name: rows up to there have been. */
export function greatestNamed(pages: Pages, firstPage: number): number {
  let greatest = 0;
  const seen = new Set<number>();
  for (let number = firstPage; !seen.has(number); ) {
    seen.add(number);
    const page = pages.page(number);
    const children = page && childrenOf(page, number);
    if (children === undefined) break;
    greatest = Math.max(greatest, children.greatest);
    number = children.pages.at(-1)!;
  }
  return greatest;
}

interface Leaf {
  readonly number: number;
  readonly page: Buffer | undefined;
}

function* leavesBelow(pages: Pages, number: number, seen = new Set<number>()): Generator<Leaf> {
  if (seen.has(number) || number < 1) return;
  seen.add(number);
  const page = pages.page(number);
  const children = page && childrenOf(page, number);
  if (children !== undefined) for (const child of children.pages) yield* leavesBelow(pages, child, seen);
  else yield { number, page: page !== undefined && isLeaf(page, number) ? page : undefined };
}

/** The schema stands at a file's beginning; where its first page is lost, its rows are looked for among so many. */
const schemaPages = 2000;

/** The first page of each table. */
export function firstPages(pages: Pages): Map<string, number> {
  const found = new Map<string, number>();
  const take = (row: Row | undefined) => {
    const [type, name, , first] = row?.values.length === 5 ? row.values : [];
    if (type === "table" && typeof name === "string" && typeof first === "number" && !found.has(name))
      found.set(name, first);
  };
  for (const row of reach(pages, 1).rows) take(row);
  if (found.has("responses") && found.has("prompts") && found.has("meta")) return found;
  for (let number = 2; number <= Math.min(pages.count, schemaPages); number += 1) {
    const page = pages.page(number);
    if (page !== undefined && isLeaf(page)) for (const row of rowsOn(pages, page)) take(row);
  }
  return found;
}

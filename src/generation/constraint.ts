/** What a response may look like, followed token by token. */
export interface Constraint {
  /** The tokens that may come next, a bit each, the lowest bit of the first word first; all others are left out. */
  allowed(): Uint32Array;
  /** Takes in the token that was drawn. */
  accept(token: number): void;
}

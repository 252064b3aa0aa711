/** A figure with how sure it is, in the unit of its column. */
export interface Figure {
  readonly value: number;
  readonly standardError?: number;
  /** Bounds of 95 %. */
  readonly interval?: readonly [number, number];
}

/** What one question came to. The mean over a model's items need not be its main figure: a rate may be controlled by length. */
export interface Item {
  /** The question's, the same for all models. */
  readonly id: string;
  /** In the unit of the main column, where that is a mean. */
  readonly value: number;
  readonly category?: string;
  /** For a person who looks at what changed. */
  readonly question?: string;
  readonly answer?: string;
  /** What the judge said. */
  readonly words?: string;
}

export interface Column {
  readonly key: string;
  readonly title: string;
  readonly unit: "%" | "points" | "characters" | "tokens";
}

/** Several categories with a figure together. */
export interface Area {
  readonly name: string;
  readonly categories: readonly string[];
  readonly figure: Figure;
}

/** What a benchmark says of one model. */
export interface Measured {
  readonly model: string;
  /** By the columns' keys; null where it could not be computed. */
  readonly figures: Readonly<Record<string, Figure | null>>;
  /** Those that have a verdict, in the order of the questions. */
  readonly items: readonly Item[];
  /** The main figure within each category. */
  readonly categories: Readonly<Record<string, Figure>>;
  readonly areas?: readonly Area[];
  /** Of the answers: their mean length in characters, where they have one. */
  readonly length?: number;
  /** Answers and verdicts that could not be had. They count nowhere. */
  readonly failed: number;
  /** What a reader should know of the figures. */
  readonly notes: readonly string[];
}

/** The outcome of one benchmark. */
export interface BenchmarkResult {
  readonly benchmark: string;
  readonly kind: string;
  /** Stands beside every figure of it; null where nobody judges. */
  readonly judge: string | null;
  /** Whether figures may stand beside published ones: the official questions, prompts, judge and baseline. */
  readonly official: boolean;
  /** The first is the main one, and higher is better there. */
  readonly columns: readonly Column[];
  readonly models: readonly Measured[];
}

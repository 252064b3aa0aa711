import { logSigmoid, sigmoid } from "./sigmoid.ts";
import { solveSymmetric } from "./solve.ts";

/** The strengths of players by who won how often over whom. */
export interface Strengths {
  /** In natural units, of mean 0 over those that played; null for one that met nobody. P(i beats j) = 1 / (1 + exp(s_j - s_i)). */
  readonly strengths: readonly (number | null)[];
  /**
   * Whether there is no finite likeliest strength: some players never lost, or never met some others, even by way of third ones. Then each
   * has one tied game more, against a player of mean strength, which bounds them.
   */
  readonly bounded: boolean;
}

/** Points of Elo's scale for one natural unit: 400 points are odds of 10 to 1. */
export const eloPoints = 400 / Math.log(10);

const mostSteps = 100;

/**
 * The likeliest strengths of the model of Bradley and Terry (1952). `wins[i][j]` says how often i won over j, a tie as half a win of each.
 * They are finite just where every player reaches every other along wins (Ford 1957); see `Strengths` for where they are
 * not. By Newton's method with halved steps; the likelihood is concave.
 */
export function fitBradleyTerry(wins: readonly (readonly number[])[]): Strengths {
  const played = wins.flatMap((row, i) => (row.some((won, j) => won + wins[j]![i]! > 0) ? [i] : []));
  const table = played.map((i) => played.map((j) => (i === j ? 0 : wins[i]![j]!)));
  const bounded = !reachesAll(table) || !reachesAll(transposed(table));
  const found = likeliest(table, bounded ? 1 : 0);
  const strengths = wins.map((): number | null => null);
  const mean = found.reduce((sum, each) => sum + each, 0) / found.length;
  for (const [at, i] of played.entries()) strengths[i] = found[at]! - mean;
  return { strengths, bounded: bounded && played.length > 0 };
}

const transposed = (table: readonly (readonly number[])[]): number[][] =>
  table.map((_, i) => table.map((row) => row[i]!));

/** Whether the first player reaches every other along wins. */
function reachesAll(table: readonly (readonly number[])[]): boolean {
  const reached = new Set([0]);
  for (const i of reached) for (const [j, won] of (table[i] ?? []).entries()) if (won > 0) reached.add(j);
  return reached.size >= table.length;
}

/** `prior`: how many tied games against a player of strength 0 each has besides. */
function likeliest(table: readonly (readonly number[])[], prior: number): number[] {
  let strengths = table.map(() => 0);
  const games = table.flat().reduce((sum, won) => sum + won, 0);
  for (let step = 0; step < mostSteps; step += 1) {
    const { gradient, curvature } = derivatives(table, strengths, prior);
    if (gradient.every((slope) => Math.abs(slope) <= 1e-12 * (1 + games))) return strengths;
    const direction = solveSymmetric(curvature, gradient);
    const before = logLikelihood(table, strengths, prior);
    const slope = gradient.reduce((sum, each, i) => sum + each * direction[i]!, 0);
    let next = strengths;
    for (let share = 1; share > 1e-12; share /= 2) {
      const tried = strengths.map((each, i) => each + share * direction[i]!);
      if (logLikelihood(table, tried, prior) < before + 1e-4 * share * slope) continue;
      next = tried;
      break;
    }
    // Nothing is likelier but for rounding.
    if (next === strengths) return strengths;
    strengths = next;
  }
  return strengths;
}

function logLikelihood(table: readonly (readonly number[])[], strengths: readonly number[], prior: number): number {
  let sum = 0;
  for (const [i, row] of table.entries()) {
    for (const [j, won] of row.entries()) if (won > 0) sum += won * logSigmoid(strengths[i]! - strengths[j]!);
    if (prior > 0) sum += (prior / 2) * (logSigmoid(strengths[i]!) + logSigmoid(-strengths[i]!));
  }
  return sum;
}

/** The gradient, and the negative Hessian; strengths that are all raised alike change nothing, and a rank of one more fixes their sum. */
function derivatives(table: readonly (readonly number[])[], strengths: readonly number[], prior: number) {
  const size = table.length;
  const gradient = table.map(() => 0);
  const curvature = table.map(() => Array<number>(size).fill(1 / size));
  for (let i = 0; i < size; i += 1) {
    const alone = sigmoid(strengths[i]!);
    gradient[i]! += prior * (0.5 - alone);
    curvature[i]![i]! += prior * alone * (1 - alone);
    for (let j = 0; j < i; j += 1) {
      const games = table[i]![j]! + table[j]![i]!;
      if (games === 0) continue;
      const share = sigmoid(strengths[i]! - strengths[j]!);
      const surplus = table[i]![j]! - games * share;
      const spread = games * share * (1 - share);
      gradient[i]! += surplus;
      gradient[j]! -= surplus;
      curvature[i]![i]! += spread;
      curvature[j]![j]! += spread;
      curvature[i]![j]! -= spread;
      curvature[j]![i]! -= spread;
    }
  }
  return { gradient, curvature };
}

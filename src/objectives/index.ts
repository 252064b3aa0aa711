import type { ObjectiveFields, ObjectiveName, PartRecipe, SettingsOf, WrpoRecipe } from "../schema/index.ts";
import { apoDown, apoZero, bcoPair, ncaPair, sppoHard } from "./anchored-losses.ts";
import { dpo, lengthNormalisedDpo, lengthRegularisedDpo } from "./dpo.ts";
import { ipo } from "./ipo.ts";
import { cpo, orpo, rrhf, sft, slicHf } from "./likelihood-losses.ts";
import { discopop, exoPair, hinge, robust } from "./margin-losses.ts";
import { mixture } from "./mixture.ts";
import type { Objective } from "./objective.ts";
import { simpo } from "./simpo.ts";
import { aot, aotUnpaired } from "./transport-losses.ts";
import { bco, kto } from "./unpaired-losses.ts";
import { wrpo, wrpoIpo, wrpoSimpo, wrpoSourceRejected } from "./wrpo.ts";

export * from "./anchored-losses.ts";
export {
  type DpoSettings,
  dpo,
  type LengthRegularisedDpoSettings,
  lengthNormalisedDpo,
  lengthRegularisedDpo,
} from "./dpo.ts";
export { type IpoSettings, ipo } from "./ipo.ts";
export * from "./likelihood-losses.ts";
export * from "./margin-losses.ts";
export * from "./mixture.ts";
export * from "./objective.ts";
export { type PairLoss, pairwise, type ScoreLoss } from "./pairwise.ts";
export * from "./score.ts";
export { type SimpoSettings, simpo } from "./simpo.ts";
export * from "./transport-losses.ts";
export * from "./unpaired-losses.ts";
export * from "./wrpo.ts";

/** The objectives by the names that recipes use. A new one is a file of this room, its settings in `schema` and a line here. */
const objectives: { readonly [Name in ObjectiveName]: (settings: Named<SettingsOf<Name>>) => Objective } = {
  wrpo,
  wrpo_simpo: wrpoSimpo,
  wrpo_ipo: wrpoIpo,
  wrpo_source_rejected: wrpoSourceRejected,
  dpo,
  robust,
  hinge,
  ipo,
  exo_pair: exoPair,
  discopop,
  ln_dpo: lengthNormalisedDpo,
  r_dpo: lengthRegularisedDpo,
  nca_pair: ncaPair,
  bco_pair: bcoPair,
  sppo_hard: sppoHard,
  apo_zero: apoZero,
  apo_down: apoDown,
  aot,
  aot_unpaired: aotUnpaired,
  kto,
  bco,
  simpo,
  cpo,
  orpo,
  slic_hf: slicHf,
  rrhf,
  sft,
};

/** What of a recipe says which objective it is. */
export type ObjectiveRecipe = Pick<WrpoRecipe, "objective" | "parts" | keyof ObjectiveFields>;

type CamelCase<Text extends string> = Text extends `${infer First}_${infer Rest}`
  ? `${First}${Capitalize<CamelCase<Rest>>}`
  : Text;
/** A recipe's settings under the names that they have in code. */
type Named<Settings> = { readonly [Field in keyof Settings & string as CamelCase<Field>]: Settings[Field] };

function named(recipe: object): Record<string, unknown> {
  const camelCase = (name: string) => name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
  return Object.fromEntries(Object.entries(recipe).map(([name, value]) => [camelCase(name), value]));
}

const single = (recipe: Pick<PartRecipe, "objective">, sourceResponses: number): Objective =>
  (objectives[recipe.objective] as (settings: Record<string, unknown>) => Objective)({
    ...named(recipe),
    sourceResponses,
  });

/**
 * The objective that a recipe asks for; the recipe as resolved, with every setting of its objective. `sourceResponses` is
 * how many responses of the sources a row has.
 *
 * @throws RecipeError for `source_weights` of another number.
 */
export const objectiveOf = ({ objective, ...settings }: ObjectiveRecipe, sourceResponses = 1): Objective =>
  objective === "mixture"
    ? mixture(settings.parts!.map((part) => ({ objective: single(part, sourceResponses), weight: part.weight })))
    : single({ objective, ...settings }, sourceResponses);

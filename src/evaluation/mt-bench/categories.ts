/** MT-Bench's categories, as its radar chart has them. */
export const mtBenchCategories = [
  "writing",
  "roleplay",
  "reasoning",
  "math",
  "coding",
  "extraction",
  "stem",
  "humanities",
] as const;

const temperatures: Readonly<Record<string, number>> = {
  writing: 0.7,
  roleplay: 0.7,
  extraction: 0,
  math: 0,
  coding: 0,
  reasoning: 0,
  stem: 0.1,
  humanities: 0.1,
};

/** The temperature at which questions of this category are answered; 0.7 of a category that MT-Bench doesn't have. */
export const mtBenchTemperature = (category: string): number => temperatures[category] ?? 0.7;

const judgedByReference: ReadonlySet<string> = new Set(["math", "reasoning", "coding"]);

/** Whether answers to questions of this category are judged beside a reference answer. */
export const needsReference = (category: string): boolean => judgedByReference.has(category);

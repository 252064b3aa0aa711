/**
 * The direction of imports (docs/architecture.md). A room may import the rooms named here, and `schema` always;
 * other rooms are entered by their index only.
 */
const direct = {
  schema: [],
  data: [],
  torch: [],
  nn: ["torch"],
  tokenizers: [],
  models: ["nn", "tokenizers"],
  scoring: ["models"],
  generation: ["models"],
  sources: ["tokenizers", "data"],
  rewards: ["scoring", "generation", "sources"],
  preferences: ["data"],
  objectives: ["torch"],
  distributed: ["nn"],
  training: ["preferences", "objectives", "scoring", "distributed"],
  evaluation: ["rewards"],
  collective: ["rewards", "training"],
  store: [],
  pipeline: ["training", "evaluation", "rewards", "collective", "store"],
  server: ["pipeline"],
  cli: ["pipeline", "server"],
};

const rooms = Object.keys(direct);
const reach = (room, seen = new Set(["schema"])) => {
  for (const next of direct[room]) if (!seen.has(next)) reach(next, seen.add(next));
  return seen;
};

module.exports = {
  forbidden: [
    ...rooms.map((room) => ({
      name: `${room}-imports-only-rooms-above-it`,
      severity: "error",
      from: { path: `^src/${room}/` },
      to: { path: "^src/", pathNot: `^src/(${[room, ...reach(room)].join("|")})/` },
    })),
    {
      name: "other-rooms-are-entered-by-their-index",
      severity: "error",
      from: { path: "^src/([^/]+)/" },
      to: { path: "^src/[^/]+/", pathNot: ["^src/$1/", "^src/[^/]+/index\\.ts$", "^src/[^/]+/testing/"] },
    },
    {
      name: "no-cycles",
      severity: "error",
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ["type-only"] } },
    },
    {
      name: "no-file-outside-a-room",
      severity: "error",
      from: { path: "^src/", pathNot: `^src/(index\\.ts$|(${rooms.join("|")})/)` },
      to: {},
    },
    {
      name: "product-does-not-import-testing",
      severity: "error",
      from: { path: "^src/", pathNot: "\\.test\\.ts$|/testing/" },
      to: { path: "/testing/" },
    },
    { name: "no-unresolvable", severity: "error", from: {}, to: { couldNotResolve: true } },
    {
      name: "only-torch-loads-the-addon",
      severity: "error",
      from: { path: "^src/", pathNot: "^src/torch/" },
      to: { path: "^native/" },
    },
    {
      name: "product-does-not-import-dev-packages",
      severity: "error",
      from: { path: "^src/", pathNot: "\\.test\\.ts$|/testing/" },
      to: { dependencyTypes: ["npm-dev"], pathNot: "node_modules/@types/" },
    },
  ],
  options: {
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "tsconfig.json" },
    doNotFollow: { path: "node_modules" },
    exclude: { path: "^dist/" },
    enhancedResolveOptions: { exportsFields: ["exports"], conditionNames: ["import", "node", "default", "types"] },
  },
};

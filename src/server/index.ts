export { type ServeOptions, type ServerHandle, serve } from "./serve.ts";
export type { AdapterSettings, ServedModelSettings } from "./served-models.ts";

import { matchesGlob } from "../policy/glob.ts";
import type { Principal } from "./principal.ts";

/** Whether the caller may use the model of this name. */
export function allowsModel({ models }: Pick<Principal, "models">, model: string): boolean {
  return models === undefined || models.some((pattern) => matchesGlob(pattern, model));
}

import { GatewayError } from "../errors/errors.ts";
import { ROLES, type Principal, type Role } from "./principal.ts";

/** Which claims of a token say who its bearer is. */
export interface ClaimSettings {
  readonly nameClaim: string;
  /** A text, with spaces between roles, or a list of texts. */
  readonly roleClaim: string;
  /** The issuer's names for roles. Empty: they are called as here, and a token without one is a client's. */
  readonly roleMapping: ReadonlyMap<string, Role>;
  /** A list of patterns; a token without it may use all models. */
  readonly modelsClaim: string;
}

/** What a verified token says. */
export interface VerifiedToken {
  readonly principal: Principal;
  /** ms since 1970. */
  readonly expiresAt: number;
}

const MAX_MODELS = 256;
const MAX_CHARS = 256;

/** The bearer of a token with these claims, which were verified. Throws invalid_api_key where a claim is missing or has another form. */
export function bearerOf(claims: Readonly<Record<string, unknown>>, settings: ClaimSettings): VerifiedToken {
  const name = claims[settings.nameClaim];
  if (typeof name !== "string" || name === "" || name.length > MAX_CHARS || /\p{C}/u.test(name)) {
    throw refused(`the token's claim \`${settings.nameClaim}\` is not a name`);
  }
  const { exp } = claims;
  if (typeof exp !== "number") throw refused("the token does not expire");
  return {
    expiresAt: exp * 1000,
    principal: {
      name,
      roles: rolesIn(claims[settings.roleClaim], settings.roleMapping),
      priority: "normal",
      models: modelsIn(claims[settings.modelsClaim], settings.modelsClaim),
      limits: undefined,
      row: -1,
    },
  };
}

function rolesIn(claim: unknown, mapping: ReadonlyMap<string, Role>): readonly Role[] {
  const given = typeof claim === "string" ? claim.split(" ") : Array.isArray(claim) ? claim : [];
  if (mapping.size > 0) {
    const mapped = new Set(given.map((one) => (typeof one === "string" ? mapping.get(one) : undefined)));
    return ROLES.filter((role) => mapped.has(role));
  }
  const roles = ROLES.filter((role) => given.includes(role));
  return roles.length > 0 ? roles : ["client"];
}

function modelsIn(claim: unknown, name: string): readonly string[] | undefined {
  if (claim === undefined || claim === null) return undefined;
  const isPattern = (one: unknown): one is string => typeof one === "string" && one !== "" && one.length <= MAX_CHARS;
  if (Array.isArray(claim) && claim.length <= MAX_MODELS && claim.every(isPattern)) return claim;
  throw refused(`the token's claim \`${name}\` is not a list of models`);
}

function refused(message: string): GatewayError {
  return new GatewayError("invalid_api_key", message);
}

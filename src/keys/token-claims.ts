import { GatewayError } from "../errors/errors.ts";
import { isRecord } from "../util/objects.ts";
import { ROLES, type Principal, type Role } from "./principal.ts";

/** Which claims of a token say who its bearer is. Each is a claim's name, or the way to one within others (`claimAt`). */
export interface ClaimSettings {
  readonly nameClaim: string;
  /** A text, with spaces between roles, or a list of texts. */
  readonly roleClaim: string;
  /** The issuer's names for roles. Empty: they are called as here, and a token without one is a client's. */
  readonly roleMapping: ReadonlyMap<string, Role>;
  /** A list of patterns, or a text with spaces between them; a token without it may use all models. */
  readonly modelsClaim: string;
}

/** What a verified token says. */
export interface VerifiedToken {
  readonly principal: Principal;
  /** ms since 1970. */
  readonly expiresAt: number;
  /** Version of the row that the principal was given, where it has limits: with another version the row is another bearer's. */
  readonly rowVersion: number;
}

const MAX_MODELS = 256;
const MAX_CHARS = 256;

/** The bearer of a token with these claims, which were verified. Throws invalid_api_key where a claim is missing or has another form. */
export function bearerOf(claims: Readonly<Record<string, unknown>>, settings: ClaimSettings): VerifiedToken {
  const name = claimAt(claims, settings.nameClaim);
  if (typeof name !== "string" || name === "" || name.length > MAX_CHARS || /\p{C}/u.test(name)) {
    throw refused(`the token's claim \`${settings.nameClaim}\` is not a name`);
  }
  const { exp } = claims;
  if (typeof exp !== "number") throw refused("the token does not expire");
  return {
    expiresAt: exp * 1000,
    rowVersion: 0,
    principal: {
      name,
      isBearer: true,
      roles: rolesIn(claimAt(claims, settings.roleClaim), settings.roleMapping),
      priority: "normal",
      models: modelsIn(claimAt(claims, settings.modelsClaim), settings.modelsClaim),
      limits: undefined,
      row: -1,
    },
  };
}

/**
 * The claim of this name. Where there is none, what stands before a dot names an object, and what stands behind it a claim within that:
 * `realm_access.roles` of Keycloak. A name with dots (`https://example.com/roles`) needs no escapes, and neither does one within a way
 * (`resource_access.my.client.roles`): of several objects that fit, the one with the longest name that has the claim counts. undefined where there is none.
 */
export function claimAt(claims: Readonly<Record<string, unknown>>, way: string): unknown {
  if (Object.hasOwn(claims, way)) return claims[way];
  for (let dot = way.lastIndexOf("."); dot > 0; dot = way.lastIndexOf(".", dot - 1)) {
    const name = way.slice(0, dot);
    const inner = Object.hasOwn(claims, name) ? claims[name] : undefined;
    const found = isRecord(inner) ? claimAt(inner, way.slice(dot + 1)) : undefined;
    if (found !== undefined) return found;
  }
  return undefined;
}

/** The words of a text, or a list as it is; undefined for anything else. */
function listIn(claim: unknown): readonly unknown[] | undefined {
  if (typeof claim === "string") return claim.split(" ").filter((word) => word !== "");
  return Array.isArray(claim) ? claim : undefined;
}

function rolesIn(claim: unknown, mapping: ReadonlyMap<string, Role>): readonly Role[] {
  const given = listIn(claim) ?? [];
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
  const models = listIn(claim);
  if (models && models.length <= MAX_MODELS && models.every(isPattern)) return models;
  throw refused(`the token's claim \`${name}\` is not a list of models`);
}

function refused(message: string): GatewayError {
  return new GatewayError("invalid_api_key", message);
}

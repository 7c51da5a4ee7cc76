import { ADMIN_KEY_NAME, API_KEY_NAME } from "../config/key-names.ts";
import type { Config } from "../config/schema.ts";
import { digestOf } from "../keys/api-key.ts";
import type { LocalAdmin } from "../keys/key-memory.ts";
import { type KeyRecord, UNLIMITED } from "../keys/key-record.ts";
import type { FixedKey, FixedKeys } from "../keys/key-ring.ts";
import type { TokenSettings } from "../keys/jwt-verifier.ts";
import { type Limits, type Role, ROLES } from "../keys/principal.ts";
import { bound } from "./bounds.ts";

type ConfiguredKey = Config["apiKeys"][number];

/** The keys of the configuration, and who may come without one. */
export function fixedKeys(config: Config): FixedKeys {
  const { apiKey, apiKeys, adminApiKey } = config;
  const keys: FixedKey[] = apiKeys.map((key) => ({ record: recordOf(key), isLocalAdmin: false }));
  const localAdmin = adminWithoutRole(config);
  if (apiKey) {
    keys.push({ record: plainRecord(API_KEY_NAME, apiKey.reveal(), "client"), isLocalAdmin: localAdmin === "api_key" });
  }
  if (adminApiKey)
    keys.push({ record: plainRecord(ADMIN_KEY_NAME, adminApiKey.reveal(), "admin"), isLocalAdmin: false });
  return { keys, isClosed: needsKeys(config), localAdmin };
}

/** Whether callers of the serving routes need a key. */
function needsKeys({ apiKey, apiKeys, keyStore, jwtIssuer }: Config): boolean {
  return apiKey !== undefined || apiKeys.length > 0 || keyStore !== undefined || jwtIssuer !== undefined;
}

/** What opens the administration besides a key with a role. Serving routes with a key and an open administration would be a hole. */
function adminWithoutRole(config: Config): LocalAdmin {
  if (config.adminApiKey) return "nobody";
  if (config.adminPort !== undefined || !needsKeys(config)) return "this_machine";
  return config.apiKey ? "api_key" : "nobody";
}

function recordOf(key: ConfiguredKey): KeyRecord {
  const { maxConcurrentRequests, requestsPerMinute, tokensPerMinute } = key;
  return {
    ...plainRecord(key.name, key.key.reveal(), "client"),
    roles: key.roles,
    models: key.models,
    priority: key.priority,
    limits: {
      requestsPerMinute: requestsPerMinute ?? UNLIMITED.requestsPerMinute,
      tokensPerMinute: tokensPerMinute ?? UNLIMITED.tokensPerMinute,
      maxConcurrent: maxConcurrentRequests ?? UNLIMITED.maxConcurrent,
    },
    expiresAt: key.expiresAt === undefined ? Number.POSITIVE_INFINITY : Date.parse(key.expiresAt),
  };
}

/** The limits of each bearer of a token. */
export function bearerLimits(config: Config): Limits {
  return {
    requestsPerMinute: bound(config.jwtRequestsPerMinute),
    tokensPerMinute: bound(config.jwtTokensPerMinute),
    maxConcurrent: bound(config.jwtMaxConcurrentRequests),
  };
}

function plainRecord(name: string, text: string, role: Role): KeyRecord {
  return {
    id: `file:${name}`,
    name,
    digest: digestOf(text),
    previousDigest: undefined,
    previousUntil: 0,
    roles: [role],
    models: undefined,
    limits: UNLIMITED,
    priority: "normal",
    createdAt: 0,
    expiresAt: Number.POSITIVE_INFINITY,
    revokedAt: undefined,
  };
}

/** Which tokens are taken; undefined where none are. */
export function tokenSettings(config: Config): TokenSettings | undefined {
  const { jwtIssuer: issuer, jwtAudience: audience } = config;
  if (issuer === undefined || audience === undefined) return undefined;
  const mapping = config.jwtRoleMapping.map((text): [string, Role | undefined] => {
    const at = text.lastIndexOf("=");
    const role = text.slice(at + 1);
    return [text.slice(0, at), role === "user" ? "client" : ROLES.find((one) => one === role)];
  });
  return {
    issuer,
    audience,
    algorithms: config.jwtAlgorithms,
    claims: {
      nameClaim: config.jwtNameClaim,
      roleClaim: config.jwtRoleClaim,
      roleMapping: new Map(mapping.flatMap(([name, role]) => (role ? [[name, role]] : []))),
      modelsClaim: config.jwtModelsClaim,
    },
  };
}

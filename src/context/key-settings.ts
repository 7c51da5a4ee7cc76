import type { Config } from "../config/schema.ts";
import { digestOf } from "../keys/api-key.ts";
import type { LocalAdmin } from "../keys/key-memory.ts";
import { type KeyRecord, UNLIMITED } from "../keys/key-record.ts";
import type { FixedKey, FixedKeys } from "../keys/key-ring.ts";
import type { Role } from "../keys/principal.ts";

type ConfiguredKey = Config["apiKeys"][number];

/** The keys of the configuration, and who may come without one. */
export function fixedKeys(config: Config): FixedKeys {
  const { apiKey, apiKeys, adminApiKey } = config;
  const keys: FixedKey[] = apiKeys.map((key) => ({ record: recordOf(key), isLocalAdmin: false }));
  const localAdmin = adminWithoutRole(config);
  if (apiKey) {
    keys.push({ record: plainRecord("default", apiKey.reveal(), "client"), isLocalAdmin: localAdmin === "api_key" });
  }
  if (adminApiKey) keys.push({ record: plainRecord("admin", adminApiKey.reveal(), "admin"), isLocalAdmin: false });
  return { keys, isClosed: needsKeys(config), localAdmin };
}

/** Whether callers of the serving routes need a key. */
function needsKeys({ apiKey, apiKeys, keyStore }: Config): boolean {
  return apiKey !== undefined || apiKeys.length > 0 || keyStore !== undefined;
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

import { z } from "zod";
import { GatewayError } from "../errors/errors.ts";
import { wrongValueText } from "../util/wrong-value.ts";
import { type KeyRecord, UNLIMITED } from "./key-record.ts";
import { type Limits, PRIORITIES, ROLES } from "./principal.ts";

/** Longest time that the key before a rotation may stay valid, and longest time until a key expires, s. */
const MAX_GRACE_SECS = 90 * 86_400;
const MAX_LIFE_SECS = 100 * 365 * 86_400;

const name = z
  .string()
  .min(1)
  .max(256)
  .regex(/^[^\p{C}]*$/u, "must be one line of text");
const pattern = z
  .string()
  .min(1)
  .max(256)
  .regex(/^[^\p{C}]*$/u, "must be one line of text");

/** What may be said of a key; null takes a limit, an expiry or the choice of models away. */
const members = {
  name,
  roles: z.array(z.enum(ROLES)).min(1).max(ROLES.length),
  models: z.array(pattern).max(256).nullable(),
  requests_per_minute: z.int().min(1).max(100_000_000).nullable(),
  tokens_per_minute: z.int().min(1).max(1_000_000_000_000).nullable(),
  max_concurrent_requests: z.int().min(1).max(1_000_000).nullable(),
  priority: z.enum(PRIORITIES),
  expires_at: z.iso.datetime({ offset: true, error: "must be a time such as 2027-01-31T00:00:00Z" }).nullable(),
  expires_in_secs: z.number().positive().max(MAX_LIFE_SECS),
};

/** What a caller of the API, or the command line, wants a new key to be. */
export const newKeySchema = z
  .strictObject({ ...members })
  .partial()
  .required({ name: true });
/** What is to be changed of a key. */
export const changedKeySchema = z.strictObject({ ...members }).partial();
/** How a key is replaced. */
export const rotationSchema = z.strictObject({ grace_secs: z.number().min(0).max(MAX_GRACE_SECS).default(86_400) });

export type ChangedKey = z.output<typeof changedKeySchema>;
/** The part of a record that a wish may say. */
type Wished = Pick<KeyRecord, "name" | "roles" | "models" | "limits" | "priority" | "expiresAt">;

/** Reads a wish. Throws invalid_request, with the member that is wrong. */
export function readWish<S extends z.ZodType>(schema: S, value: unknown): z.output<S> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const unknown = issue?.code === "unrecognized_keys" ? issue.keys[0] : undefined;
  const param = [...(issue?.path ?? []), ...(unknown === undefined ? [] : [unknown])].join(".");
  const about = param === "" ? "the body" : param;
  const text = issue === undefined ? "is not valid" : wrongValueText(issue, schema, value);
  const message = unknown === undefined ? `${about} ${text}` : `unknown key ${about}`;
  throw new GatewayError("invalid_request", message, param === "" ? {} : { param });
}

/** `before` with the wish carried out; `now`: ms since 1970. Throws invalid_request. */
export function wished(before: Wished, wish: ChangedKey, now: number): Wished {
  const expiresAt = expiryOf(wish, now);
  return {
    name: wish.name ?? before.name,
    roles: wish.roles ?? before.roles,
    models: wish.models === undefined ? before.models : (wish.models ?? undefined),
    limits: limitsOf(before.limits, wish),
    priority: wish.priority ?? before.priority,
    expiresAt: expiresAt ?? before.expiresAt,
  };
}

/** A key of which nothing was said but its name. */
export function plainWish(named: string): Wished {
  return {
    name: named,
    roles: ["client"],
    models: undefined,
    limits: UNLIMITED,
    priority: "normal",
    expiresAt: Number.POSITIVE_INFINITY,
  };
}

function limitsOf(before: Limits, wish: ChangedKey): Limits {
  const limit = (given: number | null | undefined, known: number): number =>
    given === undefined ? known : (given ?? Number.POSITIVE_INFINITY);
  return {
    requestsPerMinute: limit(wish.requests_per_minute, before.requestsPerMinute),
    tokensPerMinute: limit(wish.tokens_per_minute, before.tokensPerMinute),
    maxConcurrent: limit(wish.max_concurrent_requests, before.maxConcurrent),
  };
}

/** undefined where the wish says nothing of it. */
function expiryOf({ expires_at: at, expires_in_secs: secs }: ChangedKey, now: number): number | undefined {
  if (at !== undefined && secs !== undefined) {
    throw new GatewayError("invalid_request", "expires_at and expires_in_secs say the same: give one of them", {
      param: "expires_at",
    });
  }
  if (secs !== undefined) return Math.round(now + secs * 1000);
  if (at === undefined) return undefined;
  const time = at === null ? Number.POSITIVE_INFINITY : Date.parse(at);
  if (time > now) return time;
  throw new GatewayError("invalid_request", "expires_at is in the past", { param: "expires_at" });
}

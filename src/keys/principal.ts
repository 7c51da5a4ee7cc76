/** Classes of priority, in the order in which they are served. Within a class: first come, first served. */
export const PRIORITIES = ["high", "normal", "low"] as const;
export type Priority = (typeof PRIORITIES)[number];

/**
 * What a caller may do. `client`: send inference requests. `viewer`: read the administration. `operator`: also change workers, caches and
 * sessions. `admin`: also keys, and everything else. Each of the last three has the rights of those before it, without `client`.
 */
export const ROLES = ["client", "viewer", "operator", "admin"] as const;
export type Role = (typeof ROLES)[number];
/** A role that opens a route of the administration. */
export type AdminRole = Exclude<Role, "client">;

/** The limits of one caller; Infinity for none. */
export interface Limits {
  readonly requestsPerMinute: number;
  /** Tokens of prompts and answers a minute: estimated when a request comes, settled when it is over. */
  readonly tokensPerMinute: number;
  /** Requests in flight at once. */
  readonly maxConcurrent: number;
}

/** Who a caller is, and what it may do. It comes from an API key or from a JWT. */
export interface Principal {
  /** In access lines, metrics, usage and the audit log. */
  readonly name: string;
  /** It comes from a JWT: its name is one of any number. */
  readonly isBearer?: true;
  readonly roles: readonly Role[];
  readonly priority: Priority;
  /** Patterns (`*`, `?`) of the models that it may ask; undefined for all. */
  readonly models: readonly string[] | undefined;
  /** undefined where none is set. */
  readonly limits: Limits | undefined;
  /** Row of the key table: the key's, or one that counts a bearer's requests; -1 where there is none. */
  readonly row: number;
}

/** The caller where the gateway has no keys. It is counted by no name. */
export const EVERYBODY: Principal = {
  name: "",
  roles: ["client"],
  priority: "normal",
  models: undefined,
  limits: undefined,
  row: -1,
};

/** A program on the gateway's own machine, which opens the administration where there is no key for it. */
export const THIS_MACHINE: Principal = { ...EVERYBODY, name: "this machine", roles: ["admin"] };

/** Whether a caller with these roles may use a route of the administration that needs `needed`. */
export function opens(roles: readonly Role[], needed: AdminRole): boolean {
  const rank = ROLES.indexOf(needed);
  return roles.some((role) => ROLES.indexOf(role) >= rank);
}

import { createHash, timingSafeEqual } from "node:crypto";
import { GatewayError } from "../errors/errors.ts";
import type { ClientRequest } from "../transport/downstream.ts";
import type { HeaderReader } from "../util/header-reader.ts";
import type { Secret } from "../util/secret.ts";
import type { Priority } from "./admission.ts";
import { checkLocal, checkNotRebound } from "./local-trust.ts";

/** The caller, as far as limits need it. */
export interface Tenant {
  readonly name: string;
  readonly priority: Priority;
  /** Requests in flight at once; Infinity for no bound. */
  readonly maxConcurrent: number;
  /** Requests a minute; Infinity for no bound. */
  readonly requestsPerMinute: number;
}

export interface TenantKey extends Tenant {
  readonly key: Secret;
}

/**
 * What opens the administration:
 * - `admin_key`: the admin key, from anywhere.
 * - `api_key`: without an admin key, the `api_key`, on this machine only.
 * - `nobody`: nothing, because there are keys of clients, but neither an admin key nor an `api_key`.
 * - `this_machine`: being on this machine, where there is no key, or the administration has its own port.
 */
export type AdminAccess =
  | { readonly by: "admin_key" | "api_key"; readonly key: Secret }
  | { readonly by: "nobody" | "this_machine" };

export interface AuthSettings {
  /** Keys that open the serving routes. Without any, every caller is served. */
  readonly keys: readonly TenantKey[];
  readonly admin: AdminAccess;
  /** Host names of the gateway in the configuration, in addition to those of loopback. */
  readonly hosts: readonly string[];
  /** The administration has a port of its own: nothing of it is on the serving port, except for the admin key. */
  readonly hasAdminPort?: boolean;
}

/** The parts of a request that identify its caller. */
export type Caller = Pick<ClientRequest, "headers" | "peerAddress">;

export interface Auth {
  /** Throws invalid_api_key; forbidden for a page in this machine's browser under a foreign host name. */
  serving(caller: Caller): Tenant;
  /** Throws invalid_api_key; forbidden for a known key, or a machine, that does not open the administration. */
  admin(caller: Caller): void;
  /** Throws invalid_api_key, forbidden for a client that may not know why its request goes where it goes. */
  receipt(caller: Caller): void;
}

const EVERYBODY: Tenant = {
  name: "everybody",
  priority: "normal",
  maxConcurrent: Number.POSITIVE_INFINITY,
  requestsPerMinute: Number.POSITIVE_INFINITY,
};

/** A key of the gateway, with its tenant; `undefined` for the admin key. */
interface KnownKey {
  readonly digest: Buffer;
  readonly tenant: Tenant | undefined;
}

/** A check of keys whose keys change while the gateway runs. A request is checked by those of the moment that it came. */
export class LiveAuth implements Auth {
  #auth: Auth;

  constructor(settings: AuthSettings) {
    this.#auth = createAuth(settings);
  }

  replace(settings: AuthSettings): void {
    this.#auth = createAuth(settings);
  }

  serving(caller: Caller): Tenant {
    return this.#auth.serving(caller);
  }

  admin(caller: Caller): void {
    this.#auth.admin(caller);
  }

  receipt(caller: Caller): void {
    this.#auth.receipt(caller);
  }
}

/**
 * Makes the check of keys. It compares digests, which have one length, so the time of a comparison says nothing about the key.
 * A key comes as `Authorization: Bearer`, `x-api-key` or `api-key`. Clients also send credentials of other services, so one
 * known key among them is enough; two known keys must be equal.
 */
export function createAuth({ keys, admin, hosts, hasAdminPort = false }: AuthSettings): Auth {
  const known: KnownKey[] = keys.map((tenant) => ({ digest: digest(tenant.key.reveal()), tenant }));
  if (admin.by === "admin_key") known.push({ digest: digest(admin.key.reveal()), tenant: undefined });
  const adminDigest = "key" in admin ? digest(admin.key.reveal()) : undefined;
  const isAdmin = (caller: Caller): void => {
    if (admin.by === "this_machine") {
      checkLocal(caller, hosts);
      return;
    }
    const given = givenKey(known, caller.headers);
    if (!given) throw new GatewayError("invalid_api_key", KEY_WANTED[admin.by]);
    if (!adminDigest || !timingSafeEqual(given.digest, adminDigest)) {
      throw new GatewayError("forbidden", KEY_REFUSED[admin.by]);
    }
    if (admin.by === "api_key") checkLocal(caller, hosts);
  };
  return {
    serving(caller) {
      if (keys.length === 0) {
        checkNotRebound(caller, hosts);
        return EVERYBODY;
      }
      const tenant = givenKey(known, caller.headers)?.tenant;
      if (!tenant) throw new GatewayError("invalid_api_key", SERVING_KEY_WANTED);
      return tenant;
    },
    admin: isAdmin,
    receipt(caller) {
      if (admin.by === "admin_key") checkReceiptKey(caller.headers, adminDigest);
      else if (hasAdminPort) throw new GatewayError("forbidden", RECEIPT_KEY_NEEDED);
      else isAdmin(caller);
    },
  };
}

/** A header of its own: the client's key may be in the others. */
const ADMIN_KEY_HEADER = "x-pointsman-admin-key";

/** Throws invalid_api_key. */
function checkReceiptKey(headers: HeaderReader, adminDigest: Buffer | undefined): void {
  const given = headers.get(ADMIN_KEY_HEADER);
  if (given !== null && adminDigest && timingSafeEqual(digest(given), adminDigest)) return;
  throw new GatewayError(
    "invalid_api_key",
    `a receipt is the administration's: send the gateway's \`admin_api_key\` as \`${ADMIN_KEY_HEADER}\``,
  );
}

const RECEIPT_KEY_NEEDED =
  "a receipt is the administration's, which has a port of its own: set `admin_api_key`, and send it as `x-pointsman-admin-key`";

const SERVING_KEY_WANTED =
  "the API key is missing or wrong: send one of the gateway's (`api_key`, `api_keys`) as a bearer token";

const KEY_WANTED = {
  admin_key: "the admin key is missing or wrong: send the gateway's `admin_api_key` as a bearer token",
  api_key:
    "the key is missing or wrong: send the gateway's `api_key` as a bearer token from its own machine, or set `admin_api_key`",
  nobody: "no key opens the administration: set `admin_api_key`",
} as const;

const KEY_REFUSED = {
  admin_key: "this key does not open the administration: send the gateway's `admin_api_key`",
  api_key: "this key does not open the administration: send the gateway's `api_key`, or set `admin_api_key`",
  nobody: "this key does not open the administration: set `admin_api_key`",
} as const;

/** The gateway's key among the credentials of the request; undefined where there is none, or two different ones. */
function givenKey(known: readonly KnownKey[], headers: HeaderReader): KnownKey | undefined {
  let found: KnownKey | undefined;
  for (const text of givenTexts(headers)) {
    const given = digest(text);
    const match = known.find((entry) => timingSafeEqual(given, entry.digest));
    if (match && found && match !== found) return undefined;
    found = match ?? found;
  }
  return found;
}

function givenTexts(headers: HeaderReader): string[] {
  const authorization = headers.get("authorization");
  const bearer = authorization === null ? undefined : BEARER.exec(authorization)?.[1];
  const plain = headers.get("x-api-key");
  const azure = headers.get("api-key");
  const texts = new Set<string>();
  for (const text of [bearer, plain, azure]) if (typeof text === "string") texts.add(text);
  return [...texts];
}

const BEARER = /^Bearer +(\S+)$/i;

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}

import { GatewayError } from "../errors/errors.ts";
import type { FailureBound } from "../keys/failure-bound.ts";
import type { KeyTable, KnownKey } from "../keys/key-table.ts";
import { type AdminRole, EVERYBODY, opens, type Principal, THIS_MACHINE } from "../keys/principal.ts";
import type { ClientRequest } from "../transport/downstream.ts";
import type { HeaderReader } from "../util/header-reader.ts";
import { checkLocal, checkNotRebound } from "./local-trust.ts";

/** Knows callers by tokens that another server has signed. */
export interface TokenVerifier {
  /**
   * The caller; undefined where the text is no such token. invalid_api_key, as a value or a rejection, where the token is not valid, or not known
   * yet and `mayVerify` says no.
   */
  verify(token: string, mayVerify: () => boolean): Principal | Promise<Principal> | GatewayError | undefined;
}

export interface AuthDeps {
  readonly keys: KeyTable;
  /** undefined where no tokens are taken. */
  readonly tokens: TokenVerifier | undefined;
  readonly failures: FailureBound;
  /** Host names of the gateway in the configuration, in addition to those of loopback. */
  readonly hosts: readonly string[];
  /** The administration has a port of its own: nothing of it is on the serving port, except for a key that opens it. */
  readonly hasAdminPort: boolean;
}

/** The parts of a request that identify its caller. */
export type Caller = Pick<ClientRequest, "headers" | "peerAddress">;

/** Says who a caller is. A promise comes only where a token must be verified that this thread has not seen. */
export interface Auth {
  /** Throws invalid_api_key, too_many_wrong_keys; forbidden for a key that is no client's, and for a page in this machine's browser under a foreign host name. */
  serving(caller: Caller): Principal | Promise<Principal>;
  /** Throws invalid_api_key, too_many_wrong_keys; forbidden for a caller without the role. */
  admin(caller: Caller, needed: AdminRole): Principal | Promise<Principal>;
  /** Whether some address has sent too many wrong keys lately. Only then `isOneTooMany` is worth asking. */
  readonly isFlooded: boolean;
  /**
   * Whether a request for inference has a wrong key, and its address has sent too many: then it gets a short refusal and no further look. Never
   * throws. False where its token must be verified first.
   */
  isOneTooMany(headers: HeaderReader, from: Pick<Caller, "peerAddress">): boolean;
  /** Throws invalid_api_key, forbidden for a client that may not know why its request goes where it goes. */
  receipt(caller: Caller): void;
}

/** Makes the check of callers. Keys are looked up by their digests, so the time of a look-up says nothing about a key. */
export function createAuth(deps: AuthDeps): Auth {
  return new KeyAuth(deps);
}

/**
 * A key comes as `Authorization: Bearer`, `x-api-key` or `api-key`. Clients also send credentials of other services, so one known key among
 * them is enough; two known keys must be equal.
 */
class KeyAuth implements Auth {
  readonly #deps: AuthDeps;

  constructor(deps: AuthDeps) {
    this.#deps = deps;
  }

  serving(caller: Caller): Principal | Promise<Principal> {
    const { keys, hosts } = this.#deps;
    if (!keys.isClosed) {
      checkNotRebound(caller, hosts);
      return EVERYBODY;
    }
    const found = this.#find(caller.headers, caller);
    if (found instanceof Promise) return found.then(asClient, (error: unknown) => this.#failed(caller, error));
    if (!isKey(found)) throw this.#wrong(caller, toldOf(found) ?? SERVING_KEY_WANTED);
    return asClient(found.principal);
  }

  get isFlooded(): boolean {
    return this.#deps.failures.isFlooded;
  }

  isOneTooMany(headers: HeaderReader, from: Pick<Caller, "peerAddress">): boolean {
    const { keys, failures } = this.#deps;
    if (!keys.isClosed || !failures.isUsedUp(from.peerAddress)) return false;
    const found = this.#find(headers, from);
    return !(found instanceof Promise) && !isKey(found) && failures.isBeyond(from.peerAddress);
  }

  admin(caller: Caller, needed: AdminRole): Principal | Promise<Principal> {
    const found = this.#find(caller.headers, caller);
    if (found instanceof Promise) {
      const failed = (error: unknown): never => this.#failed(caller, error);
      return found.then((principal) => this.#administrator(caller, { principal, isLocalAdmin: false }, needed), failed);
    }
    return this.#administrator(caller, found, needed);
  }

  /** The key has a header of its own, because the client's key may be in the others. */
  receipt(caller: Caller): void {
    const { keys, hasAdminPort } = this.#deps;
    const given = caller.headers.get(ADMIN_KEY_HEADER);
    if (given !== null) {
      const known = keys.find(given);
      if (known && known !== "expired" && opens(known.principal.roles, "viewer")) return;
      throw this.#wrong(caller, RECEIPT_KEY_WANTED);
    }
    if (keys.localAdmin === "nobody") throw this.#wrong(caller, RECEIPT_KEY_WANTED);
    if (hasAdminPort) throw new GatewayError("forbidden", RECEIPT_KEY_NEEDED);
    const found = this.#find(caller.headers, caller);
    this.#administrator(caller, found instanceof Promise ? undefined : found, "viewer");
  }

  #administrator(
    caller: Caller,
    found: Pick<KnownKey, "principal" | "isLocalAdmin"> | NoKey,
    needed: AdminRole,
  ): Principal {
    const { keys, hosts } = this.#deps;
    const { localAdmin } = keys;
    const known = isKey(found) ? found : undefined;
    if (known && opens(known.principal.roles, needed)) return known.principal;
    if (localAdmin === "this_machine") {
      checkLocal(caller, hosts);
      return THIS_MACHINE;
    }
    if (!known) throw this.#wrong(caller, toldOf(found) ?? KEY_WANTED[localAdmin]);
    if (localAdmin !== "api_key" || !known.isLocalAdmin) {
      const told = `this key does not have the role \`${needed}\`: ${KEY_REFUSED[localAdmin]}`;
      throw new GatewayError("forbidden", told, { caller: known.principal.name });
    }
    checkLocal(caller, hosts);
    return { ...known.principal, roles: THIS_MACHINE.roles };
  }

  /** The caller's key, or a promise of the caller where it has a token that must be verified. */
  #find(headers: HeaderReader, from: Pick<Caller, "peerAddress">): KnownKey | Promise<Principal> | NoKey {
    const { keys, tokens } = this.#deps;
    const bearer = bearerOf(headers.get("authorization"));
    let found: KnownKey | NoKey = bearer === undefined ? undefined : keys.find(bearer);
    for (const name of PLAIN_HEADERS) {
      const text = headers.get(name);
      if (text === null || text === bearer) continue;
      const other = keys.find(text);
      if (isKey(found) && isKey(other) && found.principal.row !== other.principal.row) return undefined;
      if (!isKey(found)) found = other ?? found;
    }
    if (tokens === undefined || bearer === undefined || found !== undefined) return found;
    const principal = tokens.verify(bearer, () => this.#deps.failures.mayVerify(from.peerAddress));
    if (principal === undefined || principal instanceof Promise || principal instanceof GatewayError) return principal;
    return { principal, isLocalAdmin: false, version: 0, expiresAt: 0, previousUntil: 0 };
  }

  #failed(caller: Caller, error: unknown): never {
    if (error instanceof GatewayError && error.code === "invalid_api_key") throw this.#wrong(caller, error.message);
    throw error;
  }

  #wrong({ peerAddress }: Caller, message: string): GatewayError {
    return this.#deps.failures.isBeyond(peerAddress) ? TOO_MANY : new GatewayError("invalid_api_key", message);
  }
}

/** What there may be in the place of a known key: one that is valid no more, a token that is wrong, none or two that differ. */
type NoKey = "expired" | GatewayError | undefined;

function isKey<K extends Pick<KnownKey, "principal">>(found: K | NoKey): found is K {
  return typeof found === "object" && "principal" in found;
}

/** What the caller is told of the credential that it has sent; undefined where there is nothing to tell. */
function toldOf(found: unknown): string | undefined {
  if (found === "expired") return EXPIRED;
  return found instanceof GatewayError ? found.message : undefined;
}

function asClient(principal: Principal): Principal {
  if (principal.roles.includes("client")) return principal;
  // The key of an administrator is none of a client's: what it may do is not to be spread over the clients' programs.
  throw new GatewayError("invalid_api_key", SERVING_KEY_WANTED);
}

/** One for all: an error has a stack, which costs more than the refusal. */
export const TOO_MANY: GatewayError = new GatewayError(
  "too_many_wrong_keys",
  "too many wrong keys came from this address",
  {
    retryAfterSecs: 60,
  },
);

const PLAIN_HEADERS = ["x-api-key", "api-key"] as const;
const ADMIN_KEY_HEADER = "x-pointsman-admin-key";

const EXPIRED = "the API key has expired";

const SERVING_KEY_WANTED =
  "the API key is missing or wrong: send one of the gateway's keys for clients (`api_key`, `api_keys`, `pointsman keys create`) as a bearer token";

const RECEIPT_KEY_WANTED =
  "a receipt is the administration's: send the gateway's `admin_api_key`, or a key with the role `viewer`, as `x-pointsman-admin-key`";

const RECEIPT_KEY_NEEDED =
  "a receipt is the administration's, which has a port of its own: set `admin_api_key`, and send it as `x-pointsman-admin-key`";

const KEY_WANTED = {
  nobody:
    "the admin key is missing or wrong: send the gateway's `admin_api_key`, or a key with a role for this route, as a bearer token",
  api_key:
    "the key is missing or wrong: send the gateway's `api_key` as a bearer token from its own machine, or set `admin_api_key`",
} as const;

const KEY_REFUSED = {
  nobody: "send the gateway's `admin_api_key`, or a key with that role",
  api_key: "send the gateway's `api_key`, or set `admin_api_key`",
} as const;

/** The token of `Authorization: Bearer`. */
function bearerOf(authorization: string | null): string | undefined {
  if (authorization === null) return undefined;
  // Nearly every client writes exactly this.
  if (authorization.startsWith("Bearer ") && !authorization.includes(" ", 7))
    return authorization.slice(7) || undefined;
  return BEARER.exec(authorization)?.[1];
}

const BEARER = /^Bearer +(\S+)$/i;

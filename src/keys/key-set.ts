import { fetchFailure } from "../util/fetch-failure.ts";
import { CARRIES_USER, carriesUser } from "../util/address-user.ts";
import { boundedText } from "../util/bounded-text.ts";
import { createLocalJWKSet, errors, type JSONWebKeySet, type JWTVerifyGetKey } from "jose";
import type { Logger } from "../observability/logger.ts";
import type { Clock } from "../util/clock.ts";

export interface KeySetParts {
  readonly issuer: string;
  /** Where the issuer's keys are; undefined: where its discovery document says (OpenID Connect Discovery 1.0, section 4). */
  readonly jwksUri: string | undefined;
  readonly logger: Logger;
  readonly clock: Clock;
  /** Gets a page. Tests pass a function that asks nobody. */
  readonly get?: (url: string) => Promise<unknown>;
  /** From 0 up to 1. Tests pass one that they know. */
  readonly random?: () => number;
}

/** Time between two looks at the issuer's keys, and least time between two that tokens ask for, ms. */
const REFRESH_MS = 600_000;
const COOLDOWN_MS = 30_000;
/** Time between two looks while the issuer does not answer, ms: first, and after it has doubled with each look. */
const FIRST_RETRY_MS = 500;
const MAX_RETRY_MS = 30_000;
/** Share of that time by which it may be shorter, so that gateways that began together do not ask together. */
const JITTER_RATIO = 0.2;
/** Time for one answer of the issuer, ms, and its largest size. */
const ANSWER_MS = 5000;
const MAX_BYTES = 1_048_576;
const MAX_KEYS = 100;

/**
 * The public keys of an issuer of tokens. They are read at the start and every ten minutes, and when a token comes that none of them fits, at most
 * once in 30 s. While the issuer is away, the last good keys stay in force, and it is asked after half a second, then after twice as long each
 * time, up to 30 s; tokens do not make it be asked sooner.
 */
export class KeySet implements Disposable {
  readonly #parts: KeySetParts;
  readonly #get: (url: string) => Promise<unknown>;
  #keys: JWTVerifyGetKey | undefined;
  #reading: Promise<void> | undefined;
  /** When tokens may have the keys read again, in ms of the clock. */
  #nextAt = Number.NEGATIVE_INFINITY;
  /** Looks in a row that have failed. */
  #failures = 0;
  #cancel: (() => void) | undefined;
  #isClosed = false;

  constructor(parts: KeySetParts) {
    this.#parts = parts;
    this.#get = parts.get ?? getJson;
  }

  /** The last good keys; undefined where the issuer has not answered yet. */
  get keys(): JWTVerifyGetKey | undefined {
    return this.#keys;
  }

  /** Reads the keys, unless that was done a moment ago. Never rejects: `keys` says what there is. */
  refresh(): Promise<void> {
    const { clock } = this.#parts;
    if (this.#reading) return this.#reading;
    if (clock.now() < this.#nextAt) return Promise.resolve();
    this.#nextAt = clock.now() + COOLDOWN_MS;
    this.#reading = this.#read().finally(() => {
      this.#reading = undefined;
      this.#cancel?.();
      if (this.#isClosed) return;
      const retryMs = this.#retryMs();
      if (retryMs !== undefined) this.#nextAt = clock.now() + retryMs;
      this.#cancel = clock.after(retryMs ?? REFRESH_MS, () => void this.refresh());
    });
    return this.#reading;
  }

  /** Time until the issuer may be asked again, s. */
  get retryAfterSecs(): number {
    return Math.max(1, Math.ceil((this.#nextAt - this.#parts.clock.now()) / 1000));
  }

  /** Time until the next look at an issuer that does not answer, ms; undefined where it does. */
  #retryMs(): number | undefined {
    if (this.#failures === 0) return undefined;
    const { random = Math.random } = this.#parts;
    const doubled = FIRST_RETRY_MS * 2 ** Math.min(this.#failures - 1, 10);
    return Math.min(MAX_RETRY_MS, doubled) * (1 - JITTER_RATIO * random());
  }

  [Symbol.dispose](): void {
    this.#isClosed = true;
    this.#cancel?.();
  }

  async #read(): Promise<void> {
    const { issuer, logger } = this.#parts;
    try {
      const { keys } = readKeys(await this.#get(await this.#address()));
      this.#keys = createLocalJWKSet({ keys });
      if (this.#failures > 0) logger.info({ issuer, keys: keys.length }, "the issuer of tokens answers again");
      this.#failures = 0;
    } catch (error) {
      const told = this.#keys ? "its last good keys stay in force" : "no token can be verified";
      if (this.#failures === 0)
        logger.error({ issuer, error: fetchFailure(error) }, `the issuer's keys cannot be read; ${told}`);
      this.#failures += 1;
    }
  }

  async #address(): Promise<string> {
    const { issuer, jwksUri } = this.#parts;
    if (jwksUri !== undefined) return jwksUri;
    const page = await this.#get(`${issuer.replace(/\/$/, "")}/.well-known/openid-configuration`);
    const found = typeof page === "object" && page !== null && "jwks_uri" in page ? page.jwks_uri : undefined;
    if (typeof found !== "string" || !/^https?:\/\//.test(found))
      throw new Error("the discovery document has no jwks_uri");
    if (carriesUser(found)) throw new Error(`the jwks_uri of the discovery document ${CARRIES_USER}`);
    return found;
  }
}

/** Whether newer keys of the issuer may verify a token that failed with this error. */
export function mayBeOfNewKeys(error: unknown): boolean {
  // An issuer may also give a new key the id of an old one.
  return error instanceof errors.JWKSNoMatchingKey || error instanceof errors.JWSSignatureVerificationFailed;
}

function readKeys(page: unknown): JSONWebKeySet {
  const keys: unknown = typeof page === "object" && page !== null && "keys" in page ? page.keys : undefined;
  if (!Array.isArray(keys) || keys.length === 0 || keys.length > MAX_KEYS || !keys.every(isKey))
    throw new Error(`the answer is no key set of 1 to ${MAX_KEYS} keys`);
  return { keys };
}

function isKey(value: unknown): value is JSONWebKeySet["keys"][number] {
  return typeof value === "object" && value !== null && "kty" in value && typeof value.kty === "string";
}

async function getJson(url: string): Promise<unknown> {
  const answer = await fetch(url, {
    signal: AbortSignal.timeout(ANSWER_MS),
    redirect: "error",
    headers: { accept: "application/json", "accept-encoding": "identity" },
  });
  if (!answer.ok || !answer.body) throw new Error(`${url} answers ${answer.status}`);
  const text = await boundedText(answer, MAX_BYTES);
  if (text === undefined) throw new Error(`${url} answers with more than 1 MiB`);
  return JSON.parse(text) as unknown;
}

import { GatewayError } from "../errors/errors.ts";
import { DIGEST_BYTES, digestOf } from "./api-key.ts";
import type { Principal } from "./principal.ts";
import type { VerifiedToken } from "./token-claims.ts";

/** Verifies a token: here, or on the control thread. Rejects with invalid_api_key, token_keys_unavailable. */
export type Verify = (token: string) => Promise<VerifiedToken>;

/** Longest token, characters: a head has 16 KiB. */
const MAX_TOKEN_CHARS = 12_288;
/** Most tokens that are known, and most that are known to be wrong. The oldest is forgotten for a new one. */
const MAX_KNOWN = 10_000;
const MAX_WRONG = 1000;
/** How long a wrong token is refused without a new look, ms. */
const WRONG_MS = 10_000;

/** Three parts of base64url (RFC 7515, section 7.1); a header is JSON, so the first part begins so. */
const TOKEN = /^eyJ[\w-]*\.[\w-]+\.[\w-]+$/;

/**
 * One thread's knowledge of tokens: each is verified once, and then known by its digest until it expires. Requests with a token that is being
 * verified wait for the same answer.
 */
export class TokenCache {
  readonly #verify: Verify;
  readonly #isCurrent: (verified: VerifiedToken) => boolean;
  readonly #wallNow: () => number;
  readonly #known = new Map<string, VerifiedToken>();
  /** Refusals, and when they were made. */
  readonly #wrong = new Map<string, { readonly at: number; readonly error: GatewayError }>();
  readonly #digest: Buffer = Buffer.alloc(DIGEST_BYTES);
  readonly #asked = new Map<string, Promise<Principal>>();

  /** Grows when all tokens are forgotten. */
  #epoch = 0;

  /** `isCurrent`: whether the bearer's limits are still counted where they were; if not, it is verified again. `wallNow`: ms since 1970. */
  constructor(verify: Verify, isCurrent: (verified: VerifiedToken) => boolean, wallNow: () => number = Date.now) {
    this.#verify = verify;
    this.#isCurrent = isCurrent;
    this.#wallNow = wallNow;
  }

  /** Forgets all tokens, and what is asked just now: what they are to say has changed. */
  clear(): void {
    this.#epoch += 1;
    this.#known.clear();
    this.#wrong.clear();
    this.#asked.clear();
  }

  /**
   * The bearer, or a promise of it where the token must be verified; invalid_api_key where it is known to be wrong; undefined where the text is no
   * token. Rejects with invalid_api_key, token_keys_unavailable. `mayVerify` is asked before a token is verified that is not known yet.
   */
  verify(text: string, mayVerify: () => boolean): Principal | Promise<Principal> | GatewayError | undefined {
    if (text.length > MAX_TOKEN_CHARS || !TOKEN.test(text)) return undefined;
    digestOf(text, this.#digest);
    const id = this.#digest.toString("latin1");
    const known = this.#known.get(id);
    if (known && (known.principal.row < 0 || this.#isCurrent(known))) return this.#bearer(id, known);
    const wrong = this.#wrong.get(id);
    // The clock may have been set back since, by any time.
    if (wrong && Math.abs(this.#wallNow() - wrong.at) < WRONG_MS) return wrong.error;
    const asked = this.#asked.get(id);
    if (asked) return asked;
    if (!mayVerify()) return NOT_NOW;
    const asking = this.#ask(id, text);
    this.#asked.set(id, asking);
    return asking;
  }

  #bearer(id: string, { principal, expiresAt }: VerifiedToken): Principal | GatewayError {
    if (this.#wallNow() < expiresAt) return principal;
    this.#known.delete(id);
    return new GatewayError("invalid_api_key", "the token has expired");
  }

  async #ask(id: string, text: string): Promise<Principal> {
    const epoch = this.#epoch;
    try {
      const verified = await this.#verify(text);
      if (epoch === this.#epoch) keep(this.#known, id, verified, MAX_KNOWN);
      return verified.principal;
    } catch (error) {
      if (epoch === this.#epoch && error instanceof GatewayError && error.code === "invalid_api_key")
        keep(this.#wrong, id, { at: this.#wallNow(), error }, MAX_WRONG);
      throw error;
    } finally {
      if (epoch === this.#epoch) this.#asked.delete(id);
    }
  }
}

const NOT_NOW: GatewayError = new GatewayError("invalid_api_key", "too many tokens wait to be verified");

function keep<V>(map: Map<string, V>, id: string, value: V, most: number): void {
  map.delete(id);
  if (map.size >= most) {
    const [oldest] = map.keys();
    if (oldest !== undefined) map.delete(oldest);
  }
  map.set(id, value);
}

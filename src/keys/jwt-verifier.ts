import { errors, jwtVerify, type JWTVerifyGetKey, type JWTVerifyResult } from "jose";
import { GatewayError } from "../errors/errors.ts";
import { type KeySet, mayBeOfNewKeys } from "./key-set.ts";
import { bearerOf, type ClaimSettings, type VerifiedToken } from "./token-claims.ts";

/** Which tokens are taken. */
export interface TokenSettings {
  readonly issuer: string;
  readonly audience: string;
  /** Algorithms of signatures; a token with another one is refused whatever its key says. */
  readonly algorithms: readonly string[];
  readonly claims: ClaimSettings;
}

/** How far the issuer's clock may be from ours, s. */
const SKEW_SECS = 30;

/** Verifies JSON Web Tokens of one issuer, on the control thread. */
export class JwtVerifier {
  readonly #settings: TokenSettings;
  readonly #keySet: Pick<KeySet, "keys" | "refresh" | "retryAfterSecs">;

  constructor(settings: TokenSettings, keySet: Pick<KeySet, "keys" | "refresh" | "retryAfterSecs">) {
    this.#settings = settings;
    this.#keySet = keySet;
  }

  /** Rejects with invalid_api_key, token_keys_unavailable. */
  async verify(token: string): Promise<VerifiedToken> {
    if (!this.#keySet.keys) await this.#keySet.refresh();
    const { keys, retryAfterSecs } = this.#keySet;
    if (!keys) {
      const message = `the token cannot be verified: its issuer has not answered the gateway yet, which asks it again in ${retryAfterSecs} s`;
      throw new GatewayError("token_keys_unavailable", message, { retryAfterSecs });
    }
    try {
      return this.#bearer(await this.#check(token, keys));
    } catch (error) {
      if (error instanceof GatewayError || !mayBeOfNewKeys(error)) throw refusal(error);
    }
    await this.#keySet.refresh();
    try {
      return this.#bearer(await this.#check(token, this.#keySet.keys ?? keys));
    } catch (error) {
      throw refusal(error);
    }
  }

  #check(token: string, keys: JWTVerifyGetKey): Promise<JWTVerifyResult> {
    const { issuer, audience, algorithms } = this.#settings;
    return jwtVerify(token, keys, {
      issuer,
      audience,
      algorithms: [...algorithms],
      clockTolerance: SKEW_SECS,
      requiredClaims: ["exp"],
    });
  }

  #bearer({ payload }: JWTVerifyResult): VerifiedToken {
    const verified = bearerOf(payload, this.#settings.claims);
    return { ...verified, expiresAt: verified.expiresAt + SKEW_SECS * 1000 };
  }
}

/** The reason, without anything of the token. */
function refusal(error: unknown): GatewayError {
  if (error instanceof GatewayError) return error;
  const known =
    error instanceof errors.JWTClaimValidationFailed
      ? CLAIM_REASONS.get(error.claim)
      : error instanceof errors.JOSEError
        ? REASONS.get(error.code)
        : undefined;
  return new GatewayError("invalid_api_key", known ?? "the token is not valid", { cause: error });
}

/** By the claim that is missing, or is not as it must be. */
const CLAIM_REASONS: ReadonlyMap<string, string> = new Map([
  ["iss", "the token is of another issuer"],
  ["aud", "the token is for another audience"],
  ["nbf", "the token is not valid yet"],
  ["exp", "the token does not say when it expires"],
]);

const REASONS: ReadonlyMap<string, string> = new Map([
  ["ERR_JWT_EXPIRED", "the token has expired"],
  ["ERR_JOSE_ALG_NOT_ALLOWED", "the token's signature is of an algorithm that is not taken"],
  ["ERR_JWKS_NO_MATCHING_KEY", "the token is signed with a key that its issuer does not have"],
  ["ERR_JWS_SIGNATURE_VERIFICATION_FAILED", "the token's signature is wrong"],
]);

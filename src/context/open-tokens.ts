import type { Config } from "../config/schema.ts";
import { GatewayError } from "../errors/errors.ts";
import type { Verify } from "../keys/token-cache.ts";
import type { Logger } from "../observability/logger.ts";
import type { Clock } from "../util/clock.ts";
import { tokenSettings } from "./key-settings.ts";

interface OpenTokensParts {
  readonly config: Config;
  readonly logger: Logger;
  readonly clock: Clock;
}

/** The library for tokens is loaded only where an issuer is named. Waits for the issuer's keys, for some seconds at most. */
export async function openTokens(
  { config, logger, clock }: OpenTokensParts,
  stack: AsyncDisposableStack,
): Promise<Verify> {
  const settings = tokenSettings(config);
  if (!settings) return () => Promise.reject(new GatewayError("invalid_api_key", "no tokens are taken here"));
  const { KeySet } = await import("../keys/key-set.ts");
  const { JwtVerifier } = await import("../keys/jwt-verifier.ts");
  const keySet = stack.use(new KeySet({ issuer: settings.issuer, jwksUri: config.jwtJwksUri, logger, clock }));
  await keySet.refresh();
  const verifier = new JwtVerifier(settings, keySet);
  return (token) => verifier.verify(token);
}

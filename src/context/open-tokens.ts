import type { Config } from "../config/schema.ts";
import { GatewayError } from "../errors/errors.ts";
import type { KeyRing } from "../keys/key-ring.ts";
import type { Verify } from "../keys/token-cache.ts";
import type { Logger } from "../observability/logger.ts";
import type { Clock } from "../util/clock.ts";
import type { LiveConfig } from "../reload/live-config.ts";
import { bearerLimits, tokenSettings } from "./key-settings.ts";
import { BEARER_KEYS } from "./live-keys.ts";

interface OpenTokensParts {
  readonly config: Config;
  readonly live: Pick<LiveConfig, "register">;
  readonly logger: Logger;
  readonly clock: Clock;
}

/** The library for tokens is loaded only where an issuer is named. Waits for the issuer's keys, for some seconds at most. `keys` counts the limits of bearers. */
export async function openTokens(
  { config, live, logger, clock }: OpenTokensParts,
  keys: Pick<KeyRing, "subjects">,
  stack: AsyncDisposableStack,
): Promise<Verify> {
  const settings = tokenSettings(config);
  if (!settings) return () => Promise.reject(new GatewayError("invalid_api_key", "no tokens are taken here"));
  const { KeySet } = await import("../keys/key-set.ts");
  const { JwtVerifier } = await import("../keys/jwt-verifier.ts");
  const keySet = stack.use(new KeySet({ issuer: settings.issuer, jwksUri: config.jwtJwksUri, logger, clock }));
  await keySet.refresh();
  const verifier = new JwtVerifier(settings, keySet);
  const subjects = keys.subjects();
  subjects.replace(bearerLimits(config));
  live.register({
    name: "limits of tokens",
    keys: BEARER_KEYS,
    apply: (next) => subjects.replace(bearerLimits(next)),
  });
  return async (token) => subjects.admit(await verifier.verify(token));
}

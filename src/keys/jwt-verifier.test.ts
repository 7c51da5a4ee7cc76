import { describe, expect, test } from "bun:test";
import { type CryptoKey, exportJWK, generateKeyPair, type JWTPayload, SignJWT } from "jose";
import { ManualClock } from "../../test/support/manual-clock.ts";
import { JwtVerifier } from "./jwt-verifier.ts";
import { KeySet } from "./key-set.ts";

const ISSUER = "https://issuer.example";
const ignore = (): void => undefined;

async function setUp(): Promise<{
  readonly clock: ManualClock;
  readonly verifier: JwtVerifier;
  readonly keySet: KeySet;
  /** Pages that were asked for. */
  readonly asked: string[];
  readonly errors: string[];
  /** Replaces the issuer's keys by a new one with this id. Returns a function that signs a token with it. */
  rotate(kid: string): Promise<(sub: string) => Promise<string>>;
  /** Signs these claims with the issuer's key. */
  signAs(claims: JWTPayload): Promise<string>;
  setAway(isAway: boolean): void;
}> {
  let keys: object[] = [];
  let isAway = false;
  let own: { readonly kid: string; readonly key: CryptoKey } | undefined;
  const clock = new ManualClock();
  const asked: string[] = [];
  const errors: string[] = [];
  const logger = {
    debug: ignore,
    info: ignore,
    warn: ignore,
    error: (_: object, text?: string) => void errors.push(text ?? ""),
  };
  const get = async (url: string): Promise<unknown> => {
    asked.push(url);
    if (isAway) throw new Error("away");
    return url.endsWith("/keys") ? { keys } : { jwks_uri: `${ISSUER}/keys` };
  };
  const keySet = new KeySet({ issuer: ISSUER, jwksUri: undefined, logger, clock, get, random: () => 0 });
  const claims = { nameClaim: "sub", roleClaim: "roles", roleMapping: new Map(), modelsClaim: "models" };
  const verifier = new JwtVerifier({ issuer: ISSUER, audience: "g", algorithms: ["ES256"], claims }, keySet);
  return {
    clock,
    verifier,
    keySet,
    asked,
    errors,
    setAway: (next) => void (isAway = next),
    async signAs(said) {
      if (!own) throw new Error("the issuer has no key yet");
      return new SignJWT(said).setProtectedHeader({ alg: "ES256", kid: own.kid }).sign(own.key);
    },
    async rotate(kid) {
      const { publicKey, privateKey } = await generateKeyPair("ES256");
      keys = [{ ...(await exportJWK(publicKey)), kid }];
      own = { kid, key: privateKey };
      return (sub) =>
        new SignJWT({ sub })
          .setProtectedHeader({ alg: "ES256", kid })
          .setIssuer(ISSUER)
          .setAudience("g")
          .setExpirationTime("5 minutes")
          .sign(privateKey);
    },
  };
}

describe("the keys of an issuer", () => {
  test("are found by its discovery document, and read again when a token has another key, or the same name for one", async () => {
    const { clock, verifier, keySet, asked, rotate } = await setUp();
    const first = await rotate("k1");
    await keySet.refresh();
    expect(asked).toEqual([`${ISSUER}/.well-known/openid-configuration`, `${ISSUER}/keys`]);
    expect((await verifier.verify(await first("ann"))).principal.name).toBe("ann");
    clock.advance(60_000);
    const second = await rotate("k2");
    expect((await verifier.verify(await second("bob"))).principal.name).toBe("bob");
    clock.advance(60_000);
    const third = await rotate("k2");
    expect((await verifier.verify(await third("cem"))).principal.name).toBe("cem");
    expect(asked).toHaveLength(6);
  });

  test("are not read more than once in half a minute, whatever tokens come", async () => {
    const { clock, verifier, keySet, asked, rotate } = await setUp();
    await rotate("k1");
    await keySet.refresh();
    const foreign = await (await setUp()).rotate("k9");
    for (let count = 0; count < 20; count += 1) {
      expect(verifier.verify(await foreign(`a${count}`))).rejects.toMatchObject({ code: "invalid_api_key" });
    }
    expect(asked).toHaveLength(2);
    clock.advance(29_000);
    await verifier.verify(await foreign("b")).catch(ignore);
    expect(asked).toHaveLength(2);
    clock.advance(2000);
    await verifier.verify(await foreign("c")).catch(ignore);
    expect(asked).toHaveLength(4);
  });

  test("stay in force while the issuer is away, which is told once, and are asked for until it is back", async () => {
    const { clock, verifier, keySet, errors, rotate, setAway } = await setUp();
    const sign = await rotate("k1");
    await keySet.refresh();
    setAway(true);
    for (let count = 0; count < 25; count += 1) {
      clock.advance(60_000);
      await keySet.refresh();
    }
    expect(errors).toEqual(["the issuer's keys cannot be read; its last good keys stay in force"]);
    expect((await verifier.verify(await sign("ann"))).principal.name).toBe("ann");
    setAway(false);
    const next = await rotate("k2");
    clock.advance(30_000);
    await keySet.refresh();
    expect((await verifier.verify(await next("bob"))).principal.name).toBe("bob");
  });

  test("are asked for no more after the end, also where a question was open then", async () => {
    const { clock, keySet, rotate } = await setUp();
    await rotate("k1");
    const reading = keySet.refresh();
    keySet[Symbol.dispose]();
    await reading;
    expect(clock.pending).toBe(0);
  });

  test("that never came make tokens wait, and not wrong", async () => {
    const { verifier, rotate, setAway } = await setUp();
    const sign = await rotate("k1");
    setAway(true);
    const failure: unknown = await verifier.verify(await sign("ann")).catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: "token_keys_unavailable", status: 503 });
    expect(String(failure)).toEndWith("which asks it again in 1 s");
  });

  test("that could not be read are asked for after half a second and twice as long each time, up to 30 s, whatever tokens come", async () => {
    const { clock, verifier, asked, rotate, setAway } = await setUp();
    const sign = await rotate("k1");
    const token = await sign("ann");
    setAway(true);
    await verifier.verify(token).catch(ignore);
    const askedAt: number[] = [];
    for (let half = 1; half <= 240; half += 1) {
      const before = asked.length;
      clock.advance(500);
      for (let turn = 0; turn < 10; turn += 1) await Promise.resolve();
      // Each finds no keys, and asks for none.
      const failure: unknown = await verifier.verify(token).catch((error: unknown) => error);
      expect(failure).toMatchObject({ code: "token_keys_unavailable" });
      if (asked.length > before) askedAt.push(half / 2);
    }
    expect(askedAt).toEqual([0.5, 1.5, 3.5, 7.5, 15.5, 31.5, 61.5, 91.5]);
    expect(asked).toHaveLength(9);
    setAway(false);
    clock.advance(30_000);
    expect((await verifier.verify(token)).principal.name).toBe("ann");
  });
});

test("a token that is refused is told the claim that does not fit, and nothing that it says", async () => {
  const { verifier, keySet, signAs, rotate } = await setUp();
  await rotate("k1");
  await keySet.refresh();
  const fits = { iss: ISSUER, aud: "g", sub: "ann", exp: 4_000_000_000 };
  const cases: readonly (readonly [change: object, told: string])[] = [
    [{ iss: "https://other.example" }, "the token is of another issuer"],
    [{ iss: undefined }, "the token is of another issuer"],
    [{ aud: "h" }, "the token is for another audience"],
    [{ aud: undefined }, "the token is for another audience"],
    [{ nbf: 3_900_000_000 }, "the token is not valid yet"],
    [{ exp: undefined }, "the token does not say when it expires"],
    [{ exp: 1 }, "the token has expired"],
  ];
  expect((await verifier.verify(await signAs(fits))).principal.name).toBe("ann");
  for (const [change, message] of cases) {
    const refused: unknown = await verifier
      .verify(await signAs({ ...fits, ...change }))
      .catch((error: unknown) => error);
    expect(refused).toMatchObject({ code: "invalid_api_key", message });
  }
});

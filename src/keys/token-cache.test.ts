import { describe, expect, test } from "bun:test";
import { GatewayError } from "../errors/errors.ts";
import { EVERYBODY } from "./principal.ts";
import { TokenCache } from "./token-cache.ts";
import type { VerifiedToken } from "./token-claims.ts";

const ANN: VerifiedToken = { principal: { ...EVERYBODY, name: "ann" }, expiresAt: 1000, rowVersion: 0 };
const TOKEN = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.c2ln";

const yes = (): boolean => true;

function setUp(answer: () => Promise<VerifiedToken> = async () => ANN): {
  cache: TokenCache;
  asked: string[];
  at(time: number): void;
  /** The row of limits goes to another bearer. */
  takeRow(): void;
} {
  let now = 0;
  let version = 0;
  const asked: string[] = [];
  const cache = new TokenCache(
    (token) => {
      asked.push(token);
      return answer();
    },
    ({ rowVersion }) => rowVersion === version,
    () => now,
  );
  return { cache, asked, at: (time) => void (now = time), takeRow: () => void (version += 1) };
}

describe("a token", () => {
  test("is verified once, however many requests come with it, and is known until it expires", async () => {
    const { cache, asked, at } = setUp();
    const both = [cache.verify(TOKEN, yes), cache.verify(TOKEN, yes)];
    expect((await Promise.all(both.map((found) => Promise.resolve(found)))).map((found) => found)).toEqual([
      ANN.principal,
      ANN.principal,
    ]);
    at(999);
    expect([cache.verify(TOKEN, yes), asked.length]).toEqual([ANN.principal, 1]);
    at(1000);
    expect(cache.verify(TOKEN, yes)).toMatchObject({ code: "invalid_api_key", message: "the token has expired" });
  });

  test("that is wrong is not verified again for a while, so that it costs little", async () => {
    const { cache, asked, at } = setUp(() => Promise.reject(new GatewayError("invalid_api_key", "no")));
    expect(cache.verify(TOKEN, yes)).rejects.toMatchObject({ code: "invalid_api_key" });
    await Bun.sleep(0);
    expect(cache.verify(TOKEN, yes)).toMatchObject({ code: "invalid_api_key", message: "no" });
    at(10_000);
    expect(cache.verify(TOKEN, yes)).rejects.toMatchObject({ code: "invalid_api_key" });
    expect(asked).toHaveLength(2);
  });

  test("that could not be verified for now is asked for again", async () => {
    const { cache, asked } = setUp(() => Promise.reject(new GatewayError("token_keys_unavailable", "away")));
    for (let time = 0; time < 2; time += 1) {
      await Promise.resolve(cache.verify(TOKEN, yes)).catch(() => undefined);
    }
    expect(asked).toHaveLength(2);
  });

  test("is verified again where its bearer's row of limits has gone to another, and only where it has one", async () => {
    const limited = { ...ANN, principal: { ...ANN.principal, row: 3 } };
    for (const [verified, times] of [
      [limited, 2],
      [ANN, 1],
    ] as const) {
      const { cache, asked, takeRow } = setUp(async () => verified);
      await cache.verify(TOKEN, yes);
      expect([cache.verify(TOKEN, yes), asked.length]).toEqual([verified.principal, 1]);
      takeRow();
      await cache.verify(TOKEN, yes);
      expect(asked).toHaveLength(times);
    }
  });

  test("that is asked for while all are forgotten is not known afterwards: what it says may have changed", async () => {
    const answer = Promise.withResolvers<VerifiedToken>();
    const { cache, asked } = setUp(() => answer.promise);
    const first = cache.verify(TOKEN, yes);
    cache.clear();
    answer.resolve(ANN);
    await first;
    await cache.verify(TOKEN, yes);
    expect(asked).toHaveLength(2);
    expect(cache.verify(TOKEN, yes)).toEqual(ANN.principal);
  });

  test("that is asked for again after all were forgotten gets an answer of its own, and its old refusal is not kept", async () => {
    const answers = [Promise.withResolvers<VerifiedToken>(), Promise.withResolvers<VerifiedToken>()];
    let next = 0;
    const { cache, asked } = setUp(() => answers[next++]?.promise ?? Promise.reject(new Error("asked once more")));
    const first = Promise.resolve(cache.verify(TOKEN, yes)).catch((error: unknown) => error);
    cache.clear();
    const second = cache.verify(TOKEN, yes);
    answers[0]?.reject(new GatewayError("invalid_api_key", "by the rules of before"));
    expect(await first).toMatchObject({ message: "by the rules of before" });
    expect(cache.verify(TOKEN, yes)).toBe(second);
    answers[1]?.resolve(ANN);
    expect(await second).toEqual(ANN.principal);
    expect(asked).toHaveLength(2);
  });

  test("that is wrong is verified again where the clock was set back since", async () => {
    const { cache, asked, at } = setUp(() => Promise.reject(new GatewayError("invalid_api_key", "has expired")));
    at(86_400_000);
    await Promise.resolve(cache.verify(TOKEN, yes)).catch(() => undefined);
    at(0);
    await Promise.resolve(cache.verify(TOKEN, yes)).catch(() => undefined);
    expect(asked).toHaveLength(2);
  });

  test("that nobody knows yet is refused where it may not be verified; one that is known, or is being verified, is not", async () => {
    const { cache, asked } = setUp();
    const no = (): boolean => false;
    expect(cache.verify(TOKEN, no)).toMatchObject({ code: "invalid_api_key" });
    expect([cache.verify("sk-123", no), asked]).toEqual([undefined, []]);
    const first = cache.verify(TOKEN, yes);
    expect(cache.verify(TOKEN, no)).toBe(first);
    await first;
    expect([cache.verify(TOKEN, no), asked.length]).toEqual([ANN.principal, 1]);
  });

  test("is not what an API key looks like", () => {
    const { cache, asked } = setUp();
    for (const text of ["pm-abc-def", "sk-123", "a.b.c", `${TOKEN}.x`, `${TOKEN} `, `eyJ${"a".repeat(20_000)}.a.b`]) {
      expect(cache.verify(text, yes)).toBeUndefined();
    }
    expect(asked).toEqual([]);
  });

  test("is known as one of ten thousand: older ones are forgotten", async () => {
    const { cache, asked } = setUp();
    const text = (number: number): string => `${TOKEN}${number}`;
    for (let number = 0; number <= 10_000; number += 1) await cache.verify(text(number), yes);
    expect(cache.verify(text(1), yes)).not.toBeInstanceOf(Promise);
    expect(cache.verify(text(0), yes)).toBeInstanceOf(Promise);
    expect(asked).toHaveLength(10_002);
  });
});

import { describe, expect, test } from "bun:test";
import { TEST_CA, TEST_CERT, TEST_PAIRS } from "../../../test/support/tls.ts";
import { notValidAt, readAuthorities, readKeyPair } from "./certificate.ts";

const { first, second, expired } = TEST_PAIRS;

describe("a certificate and its key", () => {
  test("are read with names and times", () => {
    const facts = readKeyPair(first);
    expect([facts.subject, facts.names]).toEqual(["CN=localhost", ["DNS:localhost", "IP Address:127.0.0.1"]]);
    expect(facts.fingerprint).toMatch(/^[0-9A-F]{2}(:[0-9A-F]{2}){31}$/);
    expect(new Date(facts.notAfterMs).getUTCFullYear()).toBeGreaterThan(2100);
  });

  test("may have the certificates up to the authority behind them", () => {
    expect(readKeyPair({ ...first, cert: `${first.cert}${TEST_CA}` }).subject).toBe("CN=localhost");
  });

  const wrong: readonly [string, { cert: string; key: string }, string][] = [
    [
      "with the key of another",
      { cert: first.cert, key: second.key },
      "the private key belongs to another certificate",
    ],
    [
      "with certificates behind it that have not issued it",
      { cert: `${first.cert}${second.cert}`, key: first.key },
      "none of the certificates behind the first one has issued it",
    ],
    ["without a certificate", { cert: "", key: first.key }, "there is no certificate in it"],
    ["with the two in each other's place", { cert: first.key, key: first.cert }, "there is no certificate in it"],
    ["without a key", { cert: first.cert, key: first.cert }, "there is no private key in it"],
    ["with a certificate that was cut", { cert: first.cert.replace("MIIB", ""), key: first.key }, "cannot be read"],
    ["with a key that was cut", { cert: first.cert, key: first.key.replace("MIGH", "") }, "cannot be read"],
    [
      "with an encrypted key",
      { cert: first.cert, key: "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMII=\n-----END ENCRYPTED PRIVATE KEY-----" },
      "the private key is encrypted",
    ],
  ];
  for (const [what, pair, message] of wrong) {
    test(`${what} are refused, and the reason says so`, () => {
      expect(() => readKeyPair(pair)).toThrow(message);
    });
  }

  test("never show the key in a reason", () => {
    for (const [, pair] of wrong) {
      try {
        readKeyPair(pair);
      } catch (error) {
        expect(String(error)).not.toContain("MIGH");
      }
    }
  });
});

describe("authorities", () => {
  test("are all that a file has", () => {
    expect(readAuthorities(`words before\n${TEST_CA}\n${TEST_CERT}`).map(({ subject }) => subject)).toEqual([
      "CN=pointsman test authority",
      "CN=localhost",
    ]);
  });

  test("of a file without any are refused", () => {
    expect(() => readAuthorities("nothing")).toThrow("there is no certificate in it");
  });
});

describe("the time in which a certificate is valid", () => {
  const facts = readKeyPair(expired);

  test("is over after its end, and begins with its beginning", () => {
    expect(notValidAt(facts, facts.notAfterMs + 1)).toStartWith("the certificate has expired at 20");
    const good = readKeyPair(first);
    expect(notValidAt(good, good.notBeforeMs)).toBeUndefined();
    expect(notValidAt(good, good.notAfterMs)).toBeUndefined();
    expect(notValidAt(good, good.notBeforeMs - 1)).toStartWith("the certificate is valid only from 20");
  });
});

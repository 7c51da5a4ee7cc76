import { describe, expect, test } from "bun:test";
import { TEST_CA, TEST_PAIRS } from "../../test/support/tls.ts";
import { loadConfig, NO_FLAGS } from "../config/load.ts";
import type { Config } from "../config/schema.ts";
import { readTls, type TlsFiles, tlsPaths } from "./tls-files.ts";

const { first, second, client, named, nameless } = TEST_PAIRS;
const FILES = new Map<string, string>([
  ["tls.crt", first.cert],
  ["tls.key", first.key],
  ["ca.crt", TEST_CA],
  ["client.crt", client.cert],
  ["client.key", client.key],
  ["other.key", second.key],
  ["named.crt", named.cert],
  ["nameless.crt", nameless.cert],
  ["nameless.key", nameless.key],
  ["named.key", named.key],
  ["empty", ""],
]);

function configWith(options: Partial<Config>, worker?: Config["initialWorkers"][number]["tls"]): Config {
  const { config } = loadConfig({
    env: {},
    flags: { ...NO_FLAGS, workers: ["https://gpu1:8000", "https://gpu2:8000"] },
  });
  const initialWorkers = config.initialWorkers.map((given) => (worker ? { ...given, tls: worker } : given));
  return { ...config, initialWorkers, ...options };
}

function read(config: Config): TlsFiles {
  const contents = new Map(tlsPaths(config).map((path) => [path, FILES.get(path) ?? new Error("no such file")]));
  return readTls(config, contents, Date.now());
}

const MAIN = { tlsCertPath: "tls.crt", tlsKeyPath: "tls.key" };
const OWN = { clientCertPath: "client.crt", clientKeyPath: "client.key" };

describe("the files of TLS", () => {
  test("are none where none is named", () => {
    expect(tlsPaths(configWith({}))).toEqual([]);
    expect(read(configWith({})).tls.workers).toEqual({
      authorities: [],
      pair: undefined,
      serverName: undefined,
      files: {},
    });
  });

  test("are each read once, also where several workers name the same", () => {
    const config = configWith({ ...MAIN, ...OWN, caCertPaths: ["ca.crt"] }, { ...OWN, caCertPath: "ca.crt" });
    expect(tlsPaths(config).toSorted()).toEqual(["ca.crt", "client.crt", "client.key", "tls.crt", "tls.key"]);
    const { tls, certificates, problems } = read(config);
    expect(problems).toEqual([]);
    expect(certificates.map(({ use, path }) => [use, path])).toEqual([
      ["server", "tls.crt"],
      ["worker_client", "client.crt"],
    ]);
    expect(tls.workers.pair).toEqual({ cert: client.cert, key: client.key });
    expect(Object.keys(tls.workers.files).toSorted()).toEqual(["ca.crt", "client.crt", "client.key"]);
  });

  test("with several certificates have them with their host names, that of tls_cert_path first", () => {
    const tlsCertificates = [{ certPath: "named.crt", keyPath: "named.key" }];
    const { tls, certificates, problems } = read(configWith({ ...MAIN, tlsCertificates, prometheusTls: true }));
    expect(problems).toEqual([]);
    const both = [
      { pair: { cert: first.cert, key: first.key }, names: ["localhost"] },
      { pair: { cert: named.cert, key: named.key }, names: ["Models.example", "*.models.example"] },
    ];
    expect([tls.main?.named, tls.metrics?.named]).toEqual([both, both]);
    expect(certificates.map(({ path }) => path)).toEqual(["tls.crt", "named.crt"]);
    expect(read(configWith(MAIN)).tls.main?.named).toBeUndefined();
  });

  const wrong: readonly [what: string, config: Config, path: readonly PropertyKey[], text: string][] = [
    [
      "a key of another certificate",
      configWith({ ...MAIN, tlsKeyPath: "other.key" }),
      ["tlsCertPath"],
      "tls.crt and other.key: the private key belongs to another certificate",
    ],
    [
      "a further certificate without a host name",
      configWith({ ...MAIN, tlsCertificates: [{ certPath: "nameless.crt", keyPath: "nameless.key" }] }),
      ["tlsCertificates", 0, "certPath"],
      "nameless.crt: it has no host name (subjectAltName), so no client would get it",
    ],
    [
      "a further certificate with the key of another",
      configWith({ ...MAIN, tlsCertificates: [{ certPath: "named.crt", keyPath: "other.key" }] }),
      ["tlsCertificates", 0, "certPath"],
      "named.crt and other.key: the private key belongs to another certificate",
    ],
    [
      "a file that is not there",
      configWith({ ...MAIN, tlsKeyPath: "nowhere" }),
      ["tlsKeyPath"],
      "the file nowhere cannot be read (not read)",
    ],
    [
      "clients' authorities without one",
      configWith({ ...MAIN, tlsClientCaPath: "empty" }),
      ["tlsClientCaPath"],
      "empty: there is no certificate in it (-----BEGIN CERTIFICATE-----)",
    ],
    [
      "the second of workers' authorities",
      configWith({ caCertPaths: ["ca.crt", "empty"] }),
      ["caCertPaths", 1],
      "empty: there is no certificate in it (-----BEGIN CERTIFICATE-----)",
    ],
    [
      "a worker's own authority",
      configWith({}, { caCertPath: "empty" }),
      ["initialWorkers", 0, "tls", "caCertPath"],
      "empty: there is no certificate in it (-----BEGIN CERTIFICATE-----)",
    ],
    [
      "a worker's own key",
      configWith({}, { clientCertPath: "client.crt", clientKeyPath: "other.key" }),
      ["initialWorkers", 0, "tls", "clientCertPath"],
      "client.crt and other.key: the private key belongs to another certificate",
    ],
  ];
  for (const [what, config, path, text] of wrong) {
    test(`are refused with their option: ${what}`, () => {
      const [problem] = read(config).problems;
      expect([problem?.path, problem?.text]).toEqual([path, text]);
    });
  }
});

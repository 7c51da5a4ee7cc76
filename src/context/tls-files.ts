import { readFileSync } from "node:fs";
import type { Complaint } from "../config/describe-issue.ts";
import type { Config, ConfigKey } from "../config/schema.ts";
import {
  type CertificateFacts,
  type KeyPair,
  notValidAt,
  readAuthorities,
  readKeyPair,
} from "../transport/tls/certificate.ts";
import type { NamedPair, PortTls } from "../transport/tls/server-tls.ts";
import type { WorkersTls } from "../transport/tls/worker-tls.ts";
import { errorMessage } from "../util/error-message.ts";

/** The contents of files by path, or why one could not be read. */
export type Contents = ReadonlyMap<string, string | Error>;

/** The TLS of each port, undefined for a port without TLS, and towards workers. Plain data, so that a thread can be sent it. */
export interface GatewayTls {
  readonly main: PortTls | undefined;
  readonly admin: PortTls | undefined;
  readonly metrics: PortTls | undefined;
  readonly workers: WorkersTls;
}

/** A certificate of the gateway's own. */
export interface OwnCertificate extends CertificateFacts {
  /** What it is for: clients see it (`server`), or workers (`worker_client`). */
  readonly use: "server" | "worker_client";
  readonly path: string;
}

/** What the files of a configuration say. */
export interface TlsFiles {
  readonly tls: GatewayTls;
  readonly certificates: readonly OwnCertificate[];
  /** What makes the files useless: one cannot be read, or two do not belong together. */
  readonly problems: readonly Complaint[];
  /** Certificates that are not valid now. */
  readonly notValid: readonly string[];
}

/** Paths of all files that the configuration names for TLS, each once. */
export function tlsPaths(config: Config): string[] {
  const { tlsCertPath, tlsKeyPath, tlsClientCaPath, adminTlsClientCaPath, prometheusTlsClientCaPath } = config;
  const paths = [tlsCertPath, tlsKeyPath, tlsClientCaPath, adminTlsClientCaPath, prometheusTlsClientCaPath];
  for (const { certPath, keyPath } of config.tlsCertificates) paths.push(certPath, keyPath);
  paths.push(...config.caCertPaths, config.clientCertPath, config.clientKeyPath);
  for (const { tls } of config.initialWorkers) paths.push(tls?.caCertPath, tls?.clientCertPath, tls?.clientKeyPath);
  return [...new Set(paths.filter((path) => path !== undefined))];
}

/** Makes the TLS of all ports of the files' contents, and checks them. `nowMs`: ms since 1970. */
export function readTls(config: Config, contents: Contents, nowMs: number): TlsFiles {
  const reader = new TlsReader(contents, nowMs);
  const { tlsCertPath, tlsKeyPath, tlsMinVersion: minVersion } = config;
  const first = reader.named([["tlsCertPath"], tlsCertPath], [["tlsKeyPath"], tlsKeyPath]);
  const others = config.tlsCertificates.flatMap(({ certPath, keyPath }, index) => {
    const at = (part: "certPath" | "keyPath"): PropertyKey[] => ["tlsCertificates", index, part];
    return reader.chosenByName([at("certPath"), certPath], [at("keyPath"), keyPath]) ?? [];
  });
  const named = first && others.length > 0 ? { named: [first, ...others] } : {};
  const portOf = (isOn: boolean, key: ConfigKey, caPath: string | undefined): PortTls | undefined =>
    first && isOn
      ? { pair: first.pair, ...named, minVersion, clientCa: reader.authorities([[key], caPath]) }
      : undefined;
  return {
    tls: {
      main: portOf(true, "tlsClientCaPath", config.tlsClientCaPath),
      admin: portOf(config.adminTls, "adminTlsClientCaPath", config.adminTlsClientCaPath),
      metrics: portOf(config.prometheusTls, "prometheusTlsClientCaPath", config.prometheusTlsClientCaPath),
      workers: workersTls(config, reader),
    },
    certificates: reader.certificates,
    problems: reader.problems,
    notValid: reader.notValid,
  };
}

function workersTls(config: Config, reader: TlsReader): WorkersTls {
  const { caCertPaths, clientCertPath, clientKeyPath } = config;
  const authorities = caCertPaths.map((path, index) => reader.authorities([["caCertPaths", index], path]));
  const files: Record<string, string> = {};
  for (const [index, { tls }] of config.initialWorkers.entries()) {
    if (!tls) continue;
    const at = (part: keyof typeof tls): PropertyKey[] => ["initialWorkers", index, "tls", part];
    const ca = reader.authorities([at("caCertPath"), tls.caCertPath]);
    if (ca !== undefined && tls.caCertPath !== undefined) files[tls.caCertPath] = ca;
    const { clientCertPath: certPath, clientKeyPath: keyPath } = tls;
    const pair = reader.pair("worker_client", [at("clientCertPath"), certPath], [at("clientKeyPath"), keyPath]);
    if (pair && certPath !== undefined && keyPath !== undefined) {
      files[certPath] = pair.cert;
      files[keyPath] = pair.key;
    }
  }
  return {
    authorities: authorities.filter((pem) => pem !== undefined),
    pair: reader.pair("worker_client", [["clientCertPath"], clientCertPath], [["clientKeyPath"], clientKeyPath]),
    serverName: config.workerServerName,
    files,
  };
}

/** What is wrong with the files that the configuration names. Reads them. */
export function tlsComplaints(config: Config): readonly Complaint[] {
  const contents = new Map(tlsPaths(config).map((path) => [path, readNow(path)]));
  return readTls(config, contents, Date.now()).problems;
}

function readNow(path: string): string | Error {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}

/** The host names among what a certificate is for. */
function hostNamesOf({ names }: CertificateFacts): readonly string[] {
  return names.flatMap((name) => (name.startsWith("DNS:") ? [name.slice("DNS:".length)] : []));
}

/** An option with the path that it names, if it is set. */
type NamedPath = readonly [option: readonly PropertyKey[], path: string | undefined];

class TlsReader {
  readonly problems: Complaint[] = [];
  readonly certificates: OwnCertificate[] = [];
  readonly notValid: string[] = [];
  readonly #contents: Contents;
  readonly #nowMs: number;

  constructor(contents: Contents, nowMs: number) {
    this.#contents = contents;
    this.#nowMs = nowMs;
  }

  /** undefined where none is configured, or the files are useless. */
  pair(use: OwnCertificate["use"], certificate: NamedPath, key: NamedPath): KeyPair | undefined {
    return this.#read(use, certificate, key)?.pair;
  }

  /** A pair of the ports, with the host names that it is for. */
  named(certificate: NamedPath, key: NamedPath): NamedPair | undefined {
    return this.#read("server", certificate, key);
  }

  /** A pair of the ports that clients get by its names alone. */
  chosenByName(certificate: NamedPath, key: NamedPath): NamedPair | undefined {
    const named = this.named(certificate, key);
    if (named?.names.length !== 0) return named;
    const [option, path] = certificate;
    this.#complain(option, `${path}: it has no host name (subjectAltName), so no client would get it`);
    return undefined;
  }

  #read(use: OwnCertificate["use"], [certAt, certPath]: NamedPath, [keyAt, keyPath]: NamedPath): NamedPair | undefined {
    const cert = this.#text(certAt, certPath);
    const key = this.#text(keyAt, keyPath);
    if (cert === undefined || key === undefined || certPath === undefined) return undefined;
    const facts = this.#judged(certAt, `${certPath} and ${keyPath}`, () => readKeyPair({ cert, key }));
    if (!facts) return undefined;
    // Several workers may name the same files.
    if (!this.certificates.some((known) => known.path === certPath && known.use === use))
      this.certificates.push({ ...facts, use, path: certPath });
    const reason = notValidAt(facts, this.#nowMs);
    if (reason !== undefined) this.notValid.push(`${certPath}: ${reason}`);
    return { pair: { cert, key }, names: hostNamesOf(facts) };
  }

  authorities([option, path]: NamedPath): string | undefined {
    const pem = this.#text(option, path);
    return pem !== undefined && this.#judged(option, path ?? "", () => readAuthorities(pem)) ? pem : undefined;
  }

  #text(option: readonly PropertyKey[], path: string | undefined): string | undefined {
    if (path === undefined) return undefined;
    const found = this.#contents.get(path);
    if (typeof found === "string") return found;
    const code = found && "code" in found ? String(found.code) : "not read";
    this.#complain(option, `the file ${path} cannot be read (${code})`);
    return undefined;
  }

  #judged<T>(option: readonly PropertyKey[], where: string, read: () => T): T | undefined {
    try {
      return read();
    } catch (error) {
      this.#complain(option, `${where}: ${errorMessage(error)}`);
      return undefined;
    }
  }

  #complain(option: readonly PropertyKey[], text: string): void {
    this.problems.push({ path: option, text, isSentence: true });
  }
}

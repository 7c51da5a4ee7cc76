import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { TEST_PAIRS, type TestPair } from "../../test/support/tls.ts";

/** A certificate for localhost (ECDSA, P-256) and its key, as files. */
export interface TlsFiles {
  readonly certPath: string;
  readonly keyPath: string;
  /** Puts the pair in the place of the one before. */
  put(pair: TestPair): void;
}

/** Writes them into the directory. */
export function writeTlsFiles(directory: string): TlsFiles {
  const certPath = join(directory, "tls.crt");
  const keyPath = join(directory, "tls.key");
  const put = ({ cert, key }: TestPair): void => {
    writeFileSync(certPath, cert);
    writeFileSync(keyPath, key);
  };
  put(TEST_PAIRS.first);
  return { certPath, keyPath, put };
}

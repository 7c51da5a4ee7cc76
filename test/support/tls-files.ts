import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TEST_CA, type TestPair } from "./tls.ts";

/** A folder with `tls.crt`, `tls.key` and `ca.crt` behind links, as Kubernetes mounts a secret. */
export interface MountedSecret extends Disposable {
  readonly certPath: string;
  readonly keyPath: string;
  readonly caPath: string;
  /** Another pair takes the place of the one before, both files at once. */
  swap(pair: TestPair): void;
}

export function mountSecret(pair: TestPair): MountedSecret {
  const folder = mkdtempSync(join(tmpdir(), "pointsman-secret-"));
  let version = 0;
  const put = ({ cert, key }: TestPair): void => {
    version += 1;
    const data = join(folder, `..${version}`);
    mkdirSync(data);
    writeFileSync(join(data, "tls.crt"), cert);
    writeFileSync(join(data, "tls.key"), key);
    writeFileSync(join(data, "ca.crt"), TEST_CA);
    symlinkSync(`..${version}`, join(folder, "..data_tmp"));
    renameSync(join(folder, "..data_tmp"), join(folder, "..data"));
  };
  put(pair);
  for (const name of ["tls.crt", "tls.key", "ca.crt"]) symlinkSync(join("..data", name), join(folder, name));
  return {
    certPath: join(folder, "tls.crt"),
    keyPath: join(folder, "tls.key"),
    caPath: join(folder, "ca.crt"),
    swap: put,
    [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }),
  };
}

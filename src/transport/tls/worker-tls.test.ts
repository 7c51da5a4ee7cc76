import { describe, expect, test } from "bun:test";
import { PUBLIC_WORKERS, type WorkersTls, WorkerTls, type WorkerTlsSpec } from "./worker-tls.ts";

const ORIGIN = "https://gpu1:8000";
const PAIR = { cert: "cert", key: "key" };
const FILES = { "own.ca": "OWN CA", "own.crt": "OWN CERT", "own.key": "OWN KEY" };

function optionsOf(workers: Partial<WorkersTls>, spec?: WorkerTlsSpec): ReturnType<WorkerTls["of"]> {
  return new WorkerTls({ ...PUBLIC_WORKERS, ...workers }, () => spec).of(ORIGIN);
}

describe("the TLS towards a worker", () => {
  test("trusts what the runtime trusts, where nothing else is said", () => {
    expect(optionsOf({})).toEqual({ rejectUnauthorized: true });
  });

  test("trusts configured authorities beside the public ones", () => {
    const { ca } = optionsOf({ authorities: ["A", "B"] });
    expect(ca?.slice(-2)).toEqual(["A", "B"]);
    expect(ca?.length).toBeGreaterThan(50);
  });

  test("shows the gateway's certificate, and asks for the configured name", () => {
    expect(optionsOf({ pair: PAIR, serverName: "engines" })).toEqual({
      rejectUnauthorized: true,
      ...PAIR,
      servername: "engines",
    });
  });

  test("is the worker's own, where the worker has one", () => {
    const spec = { serverName: "one", caCertPath: "own.ca", clientCertPath: "own.crt", clientKeyPath: "own.key" };
    expect(optionsOf({ authorities: ["A"], pair: PAIR, serverName: "engines", files: FILES }, spec)).toEqual({
      rejectUnauthorized: true,
      ca: ["OWN CA"],
      cert: "OWN CERT",
      key: "OWN KEY",
      servername: "one",
    });
  });

  test("is unchecked for that worker alone that says so", () => {
    const tls = new WorkerTls(PUBLIC_WORKERS, (origin) =>
      origin === ORIGIN ? { insecureSkipVerify: true } : undefined,
    );
    expect([tls.of(ORIGIN).rejectUnauthorized, tls.of("https://gpu2:8000").rejectUnauthorized]).toEqual([false, true]);
  });

  test("is read from the worker's spec once, and again when that has changed", () => {
    let serverName = "one";
    let asked = 0;
    const tls = new WorkerTls(PUBLIC_WORKERS, () => {
      asked += 1;
      return { serverName };
    });
    tls.of(ORIGIN);
    serverName = "two";
    expect([tls.of(ORIGIN).servername, asked]).toEqual(["one", 1]);
    tls.forget(ORIGIN);
    expect(tls.of(ORIGIN).servername).toBe("two");
  });

  test("changes for all workers with the gateway's certificate", () => {
    const tls = new WorkerTls({ ...PUBLIC_WORKERS, pair: PAIR }, () => undefined);
    expect(tls.of(ORIGIN).cert).toBe("cert");
    tls.replace({ ...PUBLIC_WORKERS, pair: { cert: "next", key: "key" } });
    expect(tls.of(ORIGIN).cert).toBe("next");
  });
});

import { expect, test } from "bun:test";
import { LoadLedger } from "./load-ledger.ts";
import { originOf, WorkerFactory } from "./worker-factory.ts";

test("a worker of which only the address is known is a pending one of the API, with a row in the ledger", () => {
  const ledger = new LoadLedger();
  const factory = new WorkerFactory({ ledger });
  const one = factory.createFromUrl("HTTP://A:1/v1/");
  expect([one.url, one.status, one.spec.source, one.spec.workerType, one.models]).toEqual([
    "http://a:1",
    "pending",
    "api",
    "regular",
    [],
  ]);
  expect(factory.createFromUrl("http://b:1").slot).not.toBe(one.slot);
});

test("the address alone says how the worker is spoken to, whatever else is said of it", () => {
  const factory = new WorkerFactory({ ledger: new LoadLedger() });
  const kinds = ["http://a:1", "https://a:1", "a:1", "grpc://a:1", "grpcs://a:1"].map((url) => {
    const worker = factory.createFromUrl(url, { workerType: "prefill" });
    return [url, worker.connectionMode, worker.kind];
  });
  expect(kinds).toEqual([
    ["http://a:1", "http", "http_pd"],
    ["https://a:1", "http", "http_pd"],
    ["a:1", "http", "http_pd"],
    ["grpc://a:1", "grpc", "grpc_pd"],
    ["grpcs://a:1", "grpc", "grpc_pd"],
  ]);
});

test("an address that is none takes no row of the ledger", () => {
  const ledger = new LoadLedger();
  const slot = new WorkerFactory({ ledger }).createFromUrl("http://a:1").slot;
  ledger.releaseSlot(slot);
  expect(() => new WorkerFactory({ ledger }).createFromUrl("ftp://a:1")).toThrow("the worker's url is wrong");
  expect(() => originOf("ftp://a:1")).toThrow("the scheme ftp:// is not one of");
  expect(ledger.acquireSlot()).toBe(slot);
});

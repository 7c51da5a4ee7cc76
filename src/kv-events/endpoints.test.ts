import { describe, expect, test } from "bun:test";
import { endpointsFor, endpointsOf, parseEndpoint } from "./endpoints.ts";

const spec = { endpoint: "tcp://{host}:5557", replayEndpoint: undefined, topic: "", ranks: 1 };

describe("the endpoints of a worker", () => {
  test("are on its host, each further rank at the next port", () => {
    expect(endpointsOf({ ...spec, replayEndpoint: "tcp://{host}:5600", ranks: 2 }, "http://w7:8000")).toEqual([
      {
        live: { hostname: "w7", port: 5557, isBound: false },
        replay: { hostname: "w7", port: 5600, isBound: false },
        topic: "",
      },
      {
        live: { hostname: "w7", port: 5558, isBound: false },
        replay: { hostname: "w7", port: 5601, isBound: false },
        topic: "",
      },
    ]);
  });

  test("may be at a port beside its own, and have its address in the topic", () => {
    const of = (endpoint: string, url: string): unknown =>
      endpointsOf({ ...spec, endpoint, topic: "kv@{host}:{port}@" }, url)[0];
    expect(of("tcp://{host}:{port+1000}", "http://w7:8000")).toMatchObject({
      live: { port: 9000 },
      topic: "kv@w7:8000@",
    });
    expect(of("tcp://{host}:{port-1}", "grpc://[::1]:8000")).toMatchObject({ live: { hostname: "::1", port: 7999 } });
    expect(of("tcp://{host}:{port}", "https://w7")).toMatchObject({ live: { port: 443 }, topic: "kv@w7:443@" });
  });

  test("may be an address where the gateway waits", () => {
    expect(parseEndpoint("tcp://*:5557")).toEqual({ hostname: "0.0.0.0", port: 5557, isBound: true });
    expect(parseEndpoint("@tcp://127.0.0.1:5557")).toEqual({ hostname: "127.0.0.1", port: 5557, isBound: true });
  });

  test("of the ranks and of their replays may not meet", () => {
    const meeting = { ...spec, replayEndpoint: "tcp://{host}:5558" };
    expect(endpointsOf({ ...meeting, ranks: 1 }, "http://w7:8000")).toHaveLength(1);
    expect(() => endpointsOf({ ...meeting, ranks: 2 }, "http://w7:8000")).toThrow(
      "the KV events of http://w7:8000: 2 ranks from port 5557 on, and their replays from 5558 on, would have ports in common",
    );
  });

  test("that are none are refused", () => {
    for (const wrong of ["", "5557", "ipc:///tmp/kv", "tcp://h", "tcp://h:x", "tcp://h:5557/x", "tcp://u@h:5557"]) {
      expect(parseEndpoint(wrong)).toStartWith("an endpoint is tcp://HOST:PORT");
    }
    expect(parseEndpoint("tcp://h:0")).toBe("there is no port 0");
    expect(() => endpointsOf({ ...spec, endpoint: "tcp://{host}:{port+60000}" }, "http://w7:8000")).toThrow(
      "the KV events of http://w7:8000: there is no port 68000",
    );
  });
});

test("a rank that is a worker of its own has the one port of its number, whatever the number of ranks", () => {
  const spec = { endpoint: "tcp://{host}:5557", replayEndpoint: "tcp://{host}:6557", topic: "", ranks: 1 };
  const at = (index: number, of: number): number[] =>
    endpointsFor(spec, { rank: { index, of }, spec: { url: "http://w7:8000" } }).flatMap(({ live, replay }) => [
      live.port,
      replay?.port ?? 0,
    ]);
  expect([at(0, 1), at(0, 64), at(3, 64), at(63, 64)]).toEqual([
    [5557, 6557],
    [5557, 6557],
    [5560, 6560],
    [5620, 6620],
  ]);
  const whole = { rank: undefined, spec: { url: "http://w7:8000" } };
  expect(endpointsFor({ ...spec, ranks: 3 }, whole).map(({ live }) => live.port)).toEqual([5557, 5558, 5559]);
  expect(() =>
    endpointsFor({ ...spec, replayEndpoint: "tcp://{host}:5560" }, { ...whole, rank: { index: 0, of: 4 } }),
  ).toThrow("would have ports in common");
});

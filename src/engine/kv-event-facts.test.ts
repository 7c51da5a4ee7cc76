import { expect, test } from "bun:test";
import { kvEventsOf } from "./kv-event-facts.ts";

const args = (config: unknown, more: object = {}): Record<string, unknown> => ({ kv_events_config: config, ...more });

test("where SGLang waits on all interfaces, its events are at the worker's host", () => {
  const config = { publisher: "zmq", endpoint: "tcp://*:6000", replay_endpoint: "tcp://0.0.0.0:6100", topic: "kv" };
  const spec = { endpoint: "tcp://{host}:6000", replayEndpoint: "tcp://{host}:6100", topic: "kv", ranks: 2 };
  expect(kvEventsOf(args(JSON.stringify(config), { dp_size: 2 }))).toEqual(spec);
  expect(kvEventsOf(args(config, { dp_size: 2 }))).toEqual(spec);
  expect(kvEventsOf(args('{"publisher": "zmq"}'))).toEqual({
    endpoint: "tcp://{host}:5557",
    replayEndpoint: undefined,
    topic: "",
    ranks: 1,
  });
});

test("an engine that publishes nothing, connects out, or says what nobody knows is not followed", () => {
  for (const config of [
    undefined,
    null,
    "",
    "{",
    "7",
    '{"publisher": "null"}',
    '{"publisher": "zmq", "endpoint": "tcp://gateway:5557"}',
    '{"publisher": "zmq", "endpoint": "ipc:///tmp/kv"}',
  ]) {
    expect(kvEventsOf(args(config))).toBeUndefined();
  }
  expect(kvEventsOf(args('{"publisher": "zmq"}', { dp_size: 32 }))).toBeUndefined();
});

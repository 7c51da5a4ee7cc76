import { expect, test } from "bun:test";
import { withoutOrigin } from "./without-origin.ts";

test("a worker's address is taken out of its message, with its scheme and without", () => {
  expect(withoutOrigin("no model at grpc://10.0.0.7:50051, ask 10.0.0.7:50051", "grpc://10.0.0.7:50051")).toBe(
    "no model at the worker, ask the worker",
  );
});

test("other addresses stay as they are", () => {
  expect(withoutOrigin("see http://docs/errors", "http://10.0.0.7:8000")).toBe("see http://docs/errors");
});

test("a message is cut to 2,000 characters, counted without the address", () => {
  const message = `http://h:1${"x".repeat(3000)}`;
  const told = withoutOrigin(message, "http://h:1");
  expect(told).toHaveLength(2000);
  expect(told.startsWith("the workerx")).toBe(true);
});

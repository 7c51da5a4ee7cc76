import { expect, test } from "bun:test";
import fc from "fast-check";
import { RouteTable } from "./route-table.ts";
import type { Method } from "./route.ts";

function tableOf(...routes: readonly (readonly [method: Method, path: string])[]): RouteTable<string> {
  const table = new RouteTable<string>();
  for (const [method, path] of routes) table.add(method, path, `${method} ${path}`);
  return table;
}

/** The match of a path: the handlers' names, and the values of the variables. */
function found(table: RouteTable<string>, path: string): unknown {
  const match = table.find(path);
  return match ? [[...match.handlers.values()], match.params] : undefined;
}

test("a path leads to the methods that it has", () => {
  const table = tableOf(["GET", "/a"], ["POST", "/a"], ["GET", "/b"]);
  expect(found(table, "/a")).toEqual([["GET /a", "POST /a"], {}]);
  expect(table.find("/a")?.handlers.get("POST")).toBe("POST /a");
  expect(table.find("/b")?.handlers.has("POST")).toBe(false);
});

test("a path is taken as it is: nothing of it is decoded or normalised", () => {
  const table = tableOf(["GET", "/workers"], ["GET", "/"], ["GET", "/workers/:id"]);
  expect(found(table, "/workers")).toBeDefined();
  for (const path of [
    "//workers",
    "/./workers",
    "/x/../workers",
    "/%77orkers",
    "/workers/",
    "/Workers",
    "/workers?x",
    "workers",
    "",
    "/workers/a/",
    "/workers//",
    "//workers/a",
  ]) {
    expect([path, found(table, path)]).toEqual([path, undefined]);
  }
});

test("a variable stands for one segment that is not empty, and is decoded after it was matched", () => {
  const table = tableOf(["DELETE", "/workers/:id"], ["GET", "/t/:name/x/:id"]);
  const cases: readonly [path: string, params: Record<string, string>][] = [
    ["/workers/a", { id: "a" }],
    ["/workers/a%20b", { id: "a b" }],
    ["/workers/http%3A%2F%2Fa%3A1", { id: "http://a:1" }],
    ["/workers/..", { id: ".." }],
    ["/workers/%E2%82%AC", { id: "€" }],
    ["/workers/:id", { id: ":id" }],
    ["/t/a/x/b", { name: "a", id: "b" }],
  ];
  for (const [path, params] of cases) expect([path, table.find(path)?.params]).toEqual([path, params]);
  for (const path of ["/workers/", "/workers", "/workers/a/b", "/t//x/b", "/t/a/y/b", "/t/a/x/"]) {
    expect([path, table.find(path)]).toEqual([path, undefined]);
  }
});

test("a variable that is not an encoding of anything leads nowhere", () => {
  const table = tableOf(["GET", "/workers/:id"]);
  for (const value of ["%", "%zz", "%ff", "%c0%af", "a%2"]) expect(table.find(`/workers/${value}`)).toBeUndefined();
});

test("a star at the end stands for all that follows", () => {
  const table = tableOf(["GET", "/files/*"], ["GET", "/by/:id/*"]);
  expect(found(table, "/files/a")).toEqual([["GET /files/*"], {}]);
  expect(found(table, "/files/a/b//c%2f")).toEqual([["GET /files/*"], {}]);
  expect(found(table, "/files/")).toEqual([["GET /files/*"], {}]);
  expect(table.find("/files")).toBeUndefined();
  expect(table.find("/filesx/a")).toBeUndefined();
  expect(table.find("/by/7/a/b")?.params).toEqual({ id: "7" });
});

test("a path without variables goes before those that have them", () => {
  const table = tableOf(["GET", "/workers/:id"], ["GET", "/workers/all"], ["GET", "/workers/*"]);
  expect(found(table, "/workers/all")).toEqual([["GET /workers/all"], {}]);
  expect(found(table, "/workers/a")).toEqual([["GET /workers/:id"], { id: "a" }]);
  expect(found(table, "/workers/a/b")).toEqual([["GET /workers/*"], {}]);
});

test("a path with variables has its methods together", () => {
  const table = tableOf(["GET", "/workers/:id"], ["GET", "/x/:id"], ["DELETE", "/workers/:id"]);
  expect(found(table, "/workers/a")).toEqual([["GET /workers/:id", "DELETE /workers/:id"], { id: "a" }]);
});

test("any value that is encoded comes out as it went in", () => {
  const table = tableOf(["GET", "/workers/:id/x"]);
  fc.assert(
    fc.property(fc.string({ unit: "grapheme", minLength: 1 }), (value) => {
      expect(table.find(`/workers/${encodeURIComponent(value)}/x`)?.params).toEqual({ id: value });
    }),
  );
});

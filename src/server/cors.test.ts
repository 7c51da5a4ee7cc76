import { describe, expect, test } from "bun:test";
import { type ClientRequest, jsonReply, type Reply } from "../transport/downstream.ts";
import { ForwardedRequest } from "../transport/forwarded-request.ts";
import { LeaveController } from "../util/leave-signal.ts";
import { createCors } from "./cors.ts";

function requestOf(method: string, headers: Record<string, string>): ClientRequest {
  const parts = { method, path: "/v1/models", query: "", peerAddress: "10.0.0.9", body: undefined };
  return new ForwardedRequest({ ...parts, headers: Object.entries(headers) }, new LeaveController());
}

function allowed(origins: readonly string[], headers: Record<string, string>): Reply["headers"] {
  const reply = jsonReply({});
  createCors(origins).allow(requestOf("GET", headers), reply);
  return reply.headers;
}

const PAGE = { origin: "https://chat.example" };

describe("an answer to a page of another origin", () => {
  test("names the origin where it is allowed, and shows the page all headers", () => {
    for (const origins of [["https://chat.example"], ["https://other.example", "https://chat.example"], ["*"]]) {
      expect(allowed(origins, PAGE)).toEqual({
        "content-type": "application/json",
        "access-control-allow-origin": "https://chat.example",
        "access-control-expose-headers": "*",
        vary: "origin",
      });
    }
  });

  test("is as any other where the origin is not allowed, or there is none", () => {
    const plain = { "content-type": "application/json" };
    expect(allowed([], PAGE)).toEqual(plain);
    expect(allowed(["https://chat.example"], {})).toEqual(plain);
    expect(allowed(["*"], {})).toEqual(plain);
    for (const origin of ["https://chat.example.evil", "http://chat.example", "https://chat.example:8443", "null"]) {
      expect(allowed(["https://chat.example"], { origin })).toEqual(plain);
    }
  });

  test("never lets the browser send its own credentials", () => {
    expect(Object.keys(allowed(["*"], PAGE))).not.toContain("access-control-allow-credentials");
  });
});

describe("a preflight", () => {
  const cors = createCors(["https://chat.example"]);

  test("of an allowed origin is answered with the headers that the page asks for", () => {
    const asked = { ...PAGE, "access-control-request-headers": "authorization, anthropic-version" };
    expect(cors.preflight(requestOf("OPTIONS", asked))).toEqual({
      status: 204,
      body: "",
      headers: {
        "access-control-allow-methods": "GET, POST, PUT, PATCH, DELETE",
        "access-control-allow-headers": "authorization, anthropic-version",
        "access-control-max-age": "600",
      },
    });
    expect(cors.preflight(requestOf("OPTIONS", PAGE))?.headers["access-control-allow-headers"]).toBe(
      "content-type, authorization",
    );
  });

  test("of another origin, and any other request, goes on to the routes", () => {
    const others = [
      requestOf("OPTIONS", { origin: "https://other.example" }),
      requestOf("OPTIONS", {}),
      requestOf("POST", PAGE),
    ];
    expect(others.map((request) => cors.preflight(request))).toEqual([undefined, undefined, undefined]);
    expect(createCors([]).preflight(requestOf("OPTIONS", PAGE))).toBeUndefined();
  });
});

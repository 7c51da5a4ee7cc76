import { afterAll, describe, expect, test } from "bun:test";
import type { SimulatedEngine } from "../../src/engine-sim/engine.ts";
import { startEngine } from "../support/engine.ts";
import { type GatewayProcess, startProcess } from "../support/process.ts";

const SERVING_KEY = "serving-key";
const ADMIN_KEY = "admin-key";
const METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"] as const;

/** By access: paths that each kind of caller may use. Nothing that changes the gateway for the requests that follow. */
const PATHS = {
  public: ["/health", "/liveness", "/readiness", "/metrics"],
  serving: [
    "/v1/models",
    "/v1/models/sim-1",
    "/get_model_info",
    "/get_server_info",
    "/model_info",
    "/server_info",
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/embeddings",
    "/v1/responses",
    "/v1/responses/input_tokens",
    "/v1/messages",
    "/v1/messages/count_tokens",
    "/generate",
    "/tokenize",
    "/rerank",
    "/score",
    "/parse/function_call",
    "/parse/reasoning",
  ],
  admin: [
    "/workers",
    "/workers/none",
    "/add_worker",
    "/remove_worker",
    "/list_workers",
    "/policies",
    "/flush_cache",
    "/get_loads",
    "/start_profile",
    "/stop_profile",
    "/v1/tokenizers",
    "/v1/tokenizers/none",
  ],
} as const;

type Access = keyof typeof PATHS;

/** What a caller brings, and which routes it may open. */
const CALLERS: readonly [name: string, opens: readonly Access[], headers: Record<string, string>, query?: string][] = [
  ["nobody", ["public"], {}],
  ["a wrong key", ["public"], { authorization: "Bearer wrong" }],
  ["the key of clients", ["public", "serving"], { authorization: `Bearer ${SERVING_KEY}` }],
  ["the admin key", ["public", "admin"], { "x-api-key": ADMIN_KEY }],
  ["both keys", ["public"], { authorization: `Bearer ${ADMIN_KEY}`, "x-api-key": SERVING_KEY }],
  ["the admin key as a cookie", ["public"], { cookie: `authorization=Bearer ${ADMIN_KEY}; x-api-key=${ADMIN_KEY}` }],
  ["the admin key in the query", ["public"], {}, `?api_key=${ADMIN_KEY}&x-api-key=${ADMIN_KEY}`],
  [
    "headers that other servers rewrite by",
    ["public"],
    {
      "x-http-method-override": "GET",
      "x-original-url": "/health",
      "x-rewrite-url": "/health",
      "x-forwarded-prefix": "/health",
    },
  ],
];

for (const threads of [1, 2]) {
  describe(`with ${threads} threads no key opens what it is not for`, () => {
    let started: Promise<{ gateway: GatewayProcess; engine: SimulatedEngine }> | undefined;
    const start = async (): Promise<{ gateway: GatewayProcess; engine: SimulatedEngine }> => {
      const engine = await startEngine();
      const flags = ["--api-key", SERVING_KEY, "--admin-api-key", ADMIN_KEY, "--threads", String(threads)];
      // Each refusal is to be told by its own status.
      flags.push("--auth-failures-per-minute", "0");
      return { engine, gateway: await startProcess(["--worker", engine.url, ...flags]) };
    };
    afterAll(async () => {
      const { gateway, engine } = await (started ?? start());
      await gateway[Symbol.asyncDispose]();
      await engine.stop();
    });

    for (const [name, opens, headers, query = ""] of CALLERS) {
      test(
        name,
        async () => {
          const { gateway } = await (started ??= start());
          for (const access of ["public", "serving", "admin"] as const) {
            for (const path of PATHS[access]) {
              for (const method of METHODS) {
                const body =
                  method === "GET" || method === "HEAD"
                    ? {}
                    : { body: "{", headers: { "content-type": "application/json" } };
                const response = await fetch(`${gateway.url}${path}${query}`, {
                  method,
                  ...body,
                  headers: { ...body.headers, ...headers },
                });
                const text = await response.text();
                const isRefused = response.status === 401 || response.status === 403;
                // A method that the route does not have is told before the key is asked for; nothing is done either way.
                const isOpen = opens.includes(access) || response.status === 405;
                expect([method, path, isRefused]).toEqual([method, path, !isOpen]);
                expect(text).not.toContain(SERVING_KEY);
                expect(text).not.toContain(ADMIN_KEY);
              }
            }
          }
        },
        30_000,
      );
    }
  });
}

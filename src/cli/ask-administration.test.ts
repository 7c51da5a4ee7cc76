import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ConfigError } from "../config/config-error.ts";
import { askAdministration, pageOf, type Question, RefusedError } from "./ask-administration.ts";

const directory = mkdtempSync(join(tmpdir(), "pointsman-ask-"));
const server = Bun.serve({
  port: 0,
  hostname: "127.0.0.1",
  routes: {
    "/echo": async (request) =>
      Response.json({
        method: request.method,
        key: request.headers.get("authorization"),
        etag: request.headers.get("if-match"),
        body: await request.text(),
      }),
    "/refused": Response.json(
      { error: { message: "no worker has this id or url", code: "worker_not_found" } },
      { status: 404 },
    ),
    "/bare": new Response("upstream is down", { status: 502 }),
    "/page": new Response("<html>hello</html>"),
    "/list": Response.json([1]),
    "/": new Response("pointsman_worker_up 1"),
  },
});
const url = `http://127.0.0.1:${server.port}`;

afterAll(async () => {
  await server.stop(true);
  rmSync(directory, { recursive: true });
});

function file(name: string, bytes: string | Uint8Array): string {
  const path = join(directory, name);
  writeFileSync(path, bytes);
  return path;
}

interface Given {
  readonly keyFile?: string;
  readonly key?: string;
}

function ask(question: Partial<Question>, { keyFile, key }: Given = {}): Promise<Record<string, unknown>> {
  const env = key === undefined ? {} : { POINTSMAN_ADMIN_API_KEY: key };
  return askAdministration({ url, keyFile, caFile: undefined }, env, { method: "GET", path: "/echo", ...question });
}

async function failure(asked: Promise<unknown>): Promise<ConfigError> {
  const error: unknown = await asked.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (error instanceof ConfigError) return error;
  throw new Error("it is answered, or fails with something else", { cause: error });
}

describe("a question to the administration", () => {
  test("goes out as it is, and without a key where there is none", async () => {
    expect(await ask({})).toEqual({ method: "GET", key: null, etag: null, body: "" });
    expect(await ask({ method: "POST", body: "a: 1", headers: { "if-match": '"3"' } }, { key: "" })).toEqual({
      method: "POST",
      key: null,
      etag: '"3"',
      body: "a: 1",
    });
  });

  test("has the key of the file, or else that of the environment, without what stands around it", async () => {
    expect(await ask({}, { key: " hush\n" })).toMatchObject({ key: "Bearer hush" });
    for (const text of ["hush", "hush\n", "hush\r\n\n", " hush ", "\uFEFFhush\n"]) {
      expect(await ask({}, { keyFile: file("key", text), key: "other" })).toMatchObject({ key: "Bearer hush" });
    }
  });

  test("with a key that cannot be sent is not asked, and the place of the key is told, not the key", async () => {
    const why = "has characters that no header can carry; put the key alone there, on one line";
    for (const key of ["# mine\nhush", "hu\u0000sh", "hush\u2192"]) {
      const keyFile = file("bad", key);
      expect((await failure(ask({}, { keyFile }))).message).toBe(`${keyFile}: ${why}`);
      expect((await failure(ask({}, { key }))).message).toBe(`POINTSMAN_ADMIN_API_KEY: ${why}`);
    }
    const empty = file("empty", " \n");
    expect((await failure(ask({}, { keyFile: empty }))).message).toBe(`${empty}: there is no key in the file`);
    const bytes = file("bytes", Uint8Array.of(0xff, 0xfe, 0x41));
    expect((await failure(ask({}, { keyFile: bytes }))).message).toBe(`${bytes}: it is not UTF-8 text`);
    const none = join(directory, "none");
    expect((await failure(ask({}, { keyFile: none }))).message).toBe(`${none}: there is no such file`);
  });

  test("that is refused fails with the gateway's own words and code", async () => {
    const refused = await failure(ask({ path: "/refused" }));
    expect(refused).toBeInstanceOf(RefusedError);
    expect(refused).toMatchObject({ message: `${url}: no worker has this id or url`, code: "worker_not_found" });
    expect(await failure(ask({ path: "/bare" }))).toMatchObject({ message: `${url}: it answers 502`, code: "" });
  });

  test("that something else than a gateway answers fails, and is not called refused", async () => {
    for (const path of ["/page", "/list"]) {
      const error = await failure(ask({ path }));
      expect(error).not.toBeInstanceOf(RefusedError);
      expect(error.message).toBe(
        `${url}: it answers 200 with no JSON object, so it is not the administration of a gateway`,
      );
    }
  });
});

test("a page is its text, and one that is not there is told", async () => {
  expect(await pageOf(url, undefined)).toBe("pointsman_worker_up 1");
  expect((await failure(pageOf(`${url}/none`, undefined))).message).toBe(`${url}/none: it answers 404`);
});

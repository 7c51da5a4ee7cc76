import { expect, test } from "bun:test";
import { headOf } from "./answer-bytes.ts";

const ASKED = { method: "GET", isHttp11: true };

function head(status: number, headers: Record<string, string>): string {
  return headOf(ASKED, { status, headers, body: "" }, { length: 3 }, false).replace(/date: [^\r]*/, "date: D");
}

test("heads of one status and content type have each their own other headers", () => {
  const of = (id: string, status = 200, type = "application/json"): string =>
    head(status, { "content-type": type, "x-request-id": id });
  const wanted = (line: string, id: string, type = "application/json"): string =>
    `HTTP/1.1 ${line}\r\ncontent-type: ${type}\r\nx-request-id: ${id}\r\ncontent-length: 3\r\ndate: D\r\n\r\n`;
  expect([of("a"), of("b"), of("c", 404), of("d", 299), of("e", 200, "text/plain")]).toEqual([
    wanted("200 OK", "a"),
    wanted("200 OK", "b"),
    wanted("404 Not Found", "c"),
    wanted("299 Unknown", "d"),
    wanted("200 OK", "e", "text/plain"),
  ]);
});

test("a content type that is no one line is refused each time", () => {
  for (let time = 0; time < 3; time += 1) {
    expect(() => head(200, { "content-type": "text/html\r\nx: y" })).toThrow(RangeError);
  }
  // More types than are kept.
  for (let type = 0; type < 200; type += 1)
    expect(head(200, { "content-type": `a/${type}` })).toContain(`: a/${type}\r`);
});

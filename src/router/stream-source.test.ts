import { describe, expect, test } from "bun:test";
import { endpointAt } from "../../test/support/endpoints.ts";
import { PlayedResponse } from "../../test/support/routing.ts";
import { GatewayError } from "../errors/errors.ts";
import { finishUpstream } from "./stream-source.ts";

/** Whether the worker's connection is closed after these bytes: `rest` came with the last event, the pieces behind it. */
async function isClosed(path: string, rest: string, pieces: readonly (string | Error)[] = []): Promise<boolean> {
  const upstream = new PlayedResponse(pieces);
  await finishUpstream({ upstream }, Buffer.from(rest), endpointAt(path).dialect);
  return upstream.isDiscarded;
}

const TYPED = ["/v1/messages", "/v1/responses"];
const MARKED = ["/v1/chat/completions", "/v1/completions", "/generate"];

describe("the connection of a stream", () => {
  for (const path of [...TYPED, ...MARKED]) {
    test(`of ${path} is kept where nothing follows the last event`, async () => {
      expect(await isClosed(path, "")).toBe(false);
    });

    test(`of ${path} is closed where another event follows`, async () => {
      expect(await isClosed(path, "data: {}\n\n")).toBe(true);
      expect(await isClosed(path, "", ["data: {}\n\n"])).toBe(true);
    });
  }

  for (const path of TYPED) {
    test(`of ${path}, which no marker ends, is kept where one follows, however it is written and cut`, async () => {
      for (const marker of ["data: [DONE]\n\n", "data:[DONE]\r\n\r\n", "\ndata: [DONE] \n\n", "\n"]) {
        expect(await isClosed(path, marker)).toBe(false);
        for (let at = 0; at < marker.length; at += 1)
          expect(await isClosed(path, marker.slice(0, at), [marker.slice(at)])).toBe(false);
        expect(await isClosed(path, "", marker.split(""))).toBe(false);
      }
    });

    test(`of ${path} is closed where more than one marker follows, or spaces without end`, async () => {
      expect(await isClosed(path, "data: [DONE]\n\n", ["data: [DONE]\n\n"])).toBe(true);
      expect(await isClosed(path, "data: [DONE]\n\ndata: {}\n\n")).toBe(true);
      expect(await isClosed(path, " ".repeat(100))).toBe(true);
    });
  }

  for (const path of MARKED) {
    test(`of ${path}, which a marker ends, is closed where a second one follows`, async () => {
      expect(await isClosed(path, "data: [DONE]\n\n")).toBe(true);
    });
  }

  test("that breaks behind the last event is nobody's failure", async () => {
    expect(await isClosed("/v1/messages", "", [new GatewayError("upstream_reset", "broke")])).toBe(false);
  });
});

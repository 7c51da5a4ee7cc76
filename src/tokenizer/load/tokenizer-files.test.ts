import { afterAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { failureOf } from "../../../test/support/failure-of.ts";
import { jsonOf, readTokenizerFiles, textOf } from "./tokenizer-files.ts";

const folder = mkdtempSync(join(tmpdir(), "tokenizer-files-"));
afterAll(() => rmSync(folder, { recursive: true }));

writeFileSync(join(folder, "tokenizer.json"), "{}");
writeFileSync(join(folder, "other.json"), '{"own":1}');
writeFileSync(join(folder, "config.json"), '{"model_type":"m"}');
writeFileSync(join(folder, "model.safetensors"), "weights");
mkdirSync(join(folder, "chat_template.jinja"));

test("a folder's files of a tokenizer are read, and no others", async () => {
  const files = await readTokenizerFiles(folder);
  expect([...files.keys()].sort()).toEqual(["config.json", "tokenizer.json"]);
});

test("a file stands for tokenizer.json, and has the files beside it", async () => {
  const files = await readTokenizerFiles(join(folder, "other.json"));
  expect([jsonOf(files, "tokenizer.json"), jsonOf(files, "config.json")]).toEqual([{ own: 1 }, { model_type: "m" }]);
});

test("a path at which there is nothing is refused without naming it", async () => {
  const error = await failureOf(readTokenizerFiles(join(folder, "none")));
  expect(error).toMatchObject({ code: "invalid_request", details: { param: "source" } });
  expect(String(error)).not.toContain(folder);
});

test("a file that is not there is undefined as text and empty as JSON", () => {
  expect(textOf(new Map(), "config.json")).toBeUndefined();
  expect(jsonOf(new Map(), "config.json")).toEqual({});
});

test("a file that is not a JSON object is refused by its name", () => {
  const of = (text: string) => () => jsonOf(new Map([["config.json", Buffer.from(text)]]), "config.json");
  expect(of("{")).toThrow("config.json is not JSON");
  for (const text of ["[]", "null", "7"]) expect(of(text)).toThrow("config.json is not an object");
});

import { describe, expect, test } from "bun:test";
import { mkdtempSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ConfigError } from "./config-error.ts";
import { readConfigTextAgain } from "./config-file.ts";
import { loadConfig, type LoadedConfig, NO_FLAGS } from "./load.ts";

const path = join(mkdtempSync(join(tmpdir(), "pointsman-config-")), "f.yaml");

function load(bytes: string | Uint8Array): LoadedConfig {
  writeFileSync(path, bytes);
  return loadConfig({ file: path, env: {}, flags: NO_FLAGS });
}

function mistakes(bytes: string | Uint8Array): string[] {
  try {
    load(bytes);
    return [];
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.message.replaceAll(path, "f.yaml").split("\n");
  }
}

describe("bytes of a file", () => {
  test("are UTF-8, with or without the mark of an editor before them", () => {
    expect(load("\uFEFFport: 1").config.port).toBe(1);
    expect(load("model_path: gr\u00FCn").config.modelPath).toBe("gr\u00FCn");
  });

  test("in another encoding are refused, and no two keys become one", () => {
    for (const bytes of [Buffer.from("api_key: gr\u00FCn", "latin1"), Buffer.from("\uFEFFport: 1", "utf16le")]) {
      expect(mistakes(bytes)).toEqual(["f.yaml: the file is not UTF-8 text"]);
    }
  });

  test("that are too many are not read whole", () => {
    expect(mistakes("\u00FC".repeat(3 * 1024 * 1024))).toEqual(["f.yaml: the file is larger than 4194304 bytes"]);
  });
});

describe("what is read again", () => {
  test("is a file, or a link to one", () => {
    writeFileSync(path, "port: 1");
    const link = `${path}-link`;
    symlinkSync(path, link);
    expect(readConfigTextAgain(link)).toBe("port: 1");
    expect(() => readConfigTextAgain(`${path}-away`)).toThrow("there is no such file");
  });

  test("is no pipe, which would stop the gateway until somebody writes to it", () => {
    const pipe = `${path}-pipe`;
    expect(Bun.spawnSync(["mkfifo", pipe]).exitCode).toBe(0);
    const link = `${pipe}-link`;
    symlinkSync(pipe, link);
    for (const one of [pipe, link, "/dev/null"]) {
      expect(() => readConfigTextAgain(one)).toThrow(`${one}: it cannot be read again, as a file can`);
    }
  });
});

describe("keys that every object has", () => {
  const names = Object.getOwnPropertyNames(Object.prototype);

  test("are unknown options, at each depth", () => {
    for (const name of names) {
      expect(mistakes(`${JSON.stringify(name)}: 1`).join()).toStartWith("f.yaml:1:1: unknown key ");
      expect(mistakes(`initial_workers: [{url: "http://a:1", ${JSON.stringify(name)}: 1}]`)).toHaveLength(1);
    }
  });

  test("are labels like others", () => {
    for (const name of names.filter((one) => one !== "__proto__")) {
      const { config } = load(`initial_workers: [{url: "http://a:1", labels: {${name}: x}}]`);
      expect(Object.entries(config.initialWorkers[0]?.labels ?? {})).toEqual([[name, "x"]]);
    }
  });
});

test("mistakes of YAML are told in words for operators", () => {
  expect(mistakes("port: 1\n---\nport: 2")).toEqual([
    "f.yaml:2:1: a second document begins here, and a configuration is one: leave out the line with ---",
  ]);
  expect(mistakes("port: 1\nport: 2")).toEqual(["f.yaml:2:1: this key is given twice"]);
  expect(mistakes("a: [{b: 1, b: 2}]\nc: {d:, d: 1}\na: 1")).toEqual([
    "f.yaml:1:12: this key is given twice",
    "f.yaml:2:9: this key is given twice",
    "f.yaml:3:1: this key is given twice",
  ]);
  expect(mistakes("port: 1\nlabels: {a: 1, b: 2, 'a': 3}")).toEqual(["f.yaml:2:22: this key is given twice"]);
});

test("a file with tens of thousands of keys is refused at once", () => {
  const before = process.cpuUsage();
  const keys = Array.from({ length: 40_000 }, (_, index) => `key${index}: 1\n`).join("");
  expect(mistakes(`${keys}key7: 1\n`)).toEqual(["f.yaml:40001:1: this key is given twice"]);
  expect(process.cpuUsage(before).user).toBeLessThan(4_000_000);
});

test("a value is shown as it was written, also where JSON could not", () => {
  expect(mistakes("port: .inf")).toEqual(["f.yaml:1:7: port must be a whole number from 0 to 65535, not Infinity"]);
  expect(mistakes("api_keys: [{name: a, key: b, expires_at: tomorrow}]")).toEqual([
    "f.yaml:1:42: api_keys[0].expires_at must be a time such as 2027-01-31T00:00:00Z",
  ]);
});

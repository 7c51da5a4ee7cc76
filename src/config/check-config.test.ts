import { describe, expect, test } from "bun:test";
import { ConfigError } from "./config-error.ts";
import { loadConfig, NO_FLAGS } from "./load.ts";

function mistakes(text: string): string[] {
  try {
    loadConfig({ document: { name: "f.yaml", text }, env: {}, flags: NO_FLAGS });
    return [];
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.message.split("\n");
  }
}

describe("keys of the configuration", () => {
  test("have a name each: with one name for two, the first key would open nothing", () => {
    expect(mistakes("api_keys: [{name: a, key: k1}, {name: b, key: k2}, {name: a, key: k3}]")).toEqual([
      'f.yaml:1:59: the name "a" is given twice; two keys of one client need a name each',
    ]);
  });

  test("do not have the name of the api_key or the admin_api_key, where there is one", () => {
    const keys = "api_keys: [{name: default, key: k1}, {name: admin, key: k2}]";
    expect(mistakes(keys)).toEqual([]);
    expect(mistakes(`${keys}\napi_key: k3\nadmin_api_key: k4`)).toEqual([
      'f.yaml:1:19: the name "default" is what the api_key is called; two keys of one client need a name each',
      'f.yaml:1:45: the name "admin" is what the admin_api_key is called; two keys of one client need a name each',
    ]);
  });

  test("are different: one key with two names would have the roles and limits of either", () => {
    expect(
      mistakes("api_key: hush-1\napi_keys: [{name: a, key: hush-2}, {name: b, key: hush-2}, {name: c, key: hush-1}]"),
    ).toEqual(['f.yaml:2:51: the key of "b" is also that of "a"', 'f.yaml:2:75: the key of "c" is also the api_key']);
  });
});

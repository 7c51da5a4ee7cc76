import { expect, test } from "bun:test";
import { checkConfig } from "./check-config.ts";
import { configSchema } from "./schema.ts";

function refusal(name: string): string | undefined {
  return configSchema.safeParse({ workerDns: [name] }).error?.issues[0]?.message;
}

test("a name is a URL whose records say the addresses, or the ports as well", () => {
  for (const name of [
    "http://engines:8000",
    "grpc://engines.models.svc:9000",
    "engines:8000",
    "https://_http._tcp.engines",
  ]) {
    expect(refusal(name)).toBeUndefined();
  }
});

test("what is no such name is refused with the reason", () => {
  expect(refusal("http://10.0.0.1:8000")).toContain("must have a name");
  expect(refusal("http://[fd00::1]:8000")).toContain("must have a name");
  expect(refusal("http://_http._tcp.engines:8000")).toContain("must have no port");
  expect(refusal("https://engines:8000")).toContain("certificates name no addresses");
  expect(refusal("ftp://engines")).toContain("must be a URL such as http://engines:8000");
});

test("names of a role that the gateway does not take, and a name given twice, are refused with their places", () => {
  const complaints = (options: object): unknown =>
    checkConfig(configSchema.parse(options)).map(({ path, text }) => [path.join("."), text.slice(0, 40)]);
  expect(complaints({ prefillDns: ["http://a:1"] })).toEqual([["prefillDns.0", expect.any(String)]]);
  expect(complaints({ workerDns: ["http://a:1"], pdDisaggregation: true })).toEqual([
    ["workerDns.0", expect.any(String)],
  ]);
  expect(complaints({ prefillDns: ["http://a:1"], decodeDns: ["http://a:1"], pdDisaggregation: true })).toEqual([
    ["decodeDns.0", "the name http://a:1 is given twice"],
  ]);
  expect(complaints({ workerDns: ["http://a:1", "http://b:1"] })).toEqual([]);
});

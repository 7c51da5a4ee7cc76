import { snakeCase } from "../util/case.ts";
import { keysOf } from "../util/objects.ts";
import { isModuleUnused } from "./check-config.ts";
import type { RawObject } from "./config-file.ts";
import { hiddenPatterns } from "./hidden-patterns.ts";
import { optionDefault } from "./options.ts";
import type { Config } from "./schema.ts";
import { unusedOptions } from "./unused-options.ts";

/** Notices for the operator: settings that are taken in another way than they were given, or that may have an unwanted effect. */
export function noticesOn(config: Config, given: Readonly<RawObject>): string[] {
  const notices: string[] = [];
  for (const key of keysOf(config)) {
    const [before, after] = [given[key], config[key]];
    if (typeof before === "number" && typeof after === "number" && before > after) {
      notices.push(`${snakeCase(key)} ${before} is taken as ${after}, which is the most`);
    }
  }
  if (config.retryMaxRetries > 1) {
    notices.push(`retry_max_retries ${config.retryMaxRetries} is taken as 1: a generation is started at most twice`);
  }
  if (config.retryBackoffMultiplier !== optionDefault("retryBackoffMultiplier")) {
    notices.push("retry_backoff_multiplier changes nothing: there is at most one second attempt");
  }
  if (config.apiKey === undefined && config.apiKeys.length === 0 && !LOOPBACK.test(config.host)) {
    notices.push(`listening on ${config.host} without an api_key: everybody who reaches it may call`);
  }
  if (isModuleUnused(config)) {
    notices.push(
      "policy_module is loaded and nothing names its policy: give that name as --policy, or to a model or worker",
    );
  }
  for (const { url, tls } of config.initialWorkers) {
    if (tls?.insecureSkipVerify === true) {
      notices.push(
        `the certificate of ${url} is not checked (insecure_skip_verify): whoever is on the way reads everything`,
      );
    }
  }
  const adminHost = config.adminPort === undefined ? config.host : config.adminHost;
  if (config.adminApiKey === undefined && !LOOPBACK.test(adminHost)) {
    notices.push(
      `the administration on ${adminHost} is open to this machine only: set admin_api_key to use it from elsewhere`,
    );
  }
  return [...notices, ...hiddenPatterns(config), ...unusedOptions(config, given)];
}

const LOOPBACK = /^(localhost|127\.\d+\.\d+\.\d+|::1)$/;

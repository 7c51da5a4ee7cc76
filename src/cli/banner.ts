import type { Config } from "../config/schema.ts";
import type { RunningServer } from "../server/server.ts";

/** Facts of a gateway that has just started. */
export interface StartFacts {
  readonly version: string;
  readonly config: Config;
  readonly server: Pick<RunningServer, "url" | "adminUrl" | "metricsUrl">;
  readonly workers: number;
}

/** The level of the log's first line. */
const INFO = 30;

/** The text at start-up: a few lines for a person where log lines are text, otherwise one JSON line. */
export function banner({ version, config, server, workers }: StartFacts, isText: boolean): string {
  if (!isText) {
    const line = {
      event: "listening",
      level: INFO,
      time: new Date().toISOString(),
      version,
      url: server.url,
      admin_url: server.adminUrl,
      metrics_url: server.metricsUrl,
      policy: config.defaultPolicy,
      igw: config.enableIgw,
      workers,
      msg: "listening",
    };
    return `${JSON.stringify(line)}\n`;
  }
  const metrics = server.metricsUrl ?? server.adminUrl ?? server.url;
  return [
    `pointsman ${version}`,
    `  listening  ${server.url}`,
    ...(server.adminUrl === undefined ? [] : [`  admin      ${server.adminUrl}`]),
    `  metrics    ${metrics}/metrics`,
    `  workers    ${workers}${workers === 0 ? " (add one: POST /workers)" : ""}`,
    `  policy     ${config.defaultPolicy}${config.enableIgw ? ", many models" : ""}`,
    "",
    "",
  ].join("\n");
}
